"""Start the Rasa process."""

from confide.rasa.launcher import main

raise SystemExit(main())
