"""`rasa test core` over the test stories, and `rasa data validate`, in this process.

Both commands exit with 0 when something failed (rasa-facts: `rasa test` without --fail-on-prediction-errors; `data validate` on
warnings), so the reports are read.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rasa.core.agent import Agent

pytestmark = pytest.mark.rasa
FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
#: Intents that no customer's message has: Rasa's own, and the fallback, which no example can bring about reliably.
WITHOUT_STORY = {"restart", "session_start", "back", "nlu_fallback"}


@pytest.fixture(scope="package")
def story_texts() -> str:
    return "\n".join(file.read_text("utf-8") for file in sorted(FOLDER.glob("test_*.yml")))


async def test_every_test_story_goes_as_written(agent: Agent, tmp_path: Path, story_texts: str) -> None:
    from rasa.core.test import test as run_stories

    await run_stories(str(FOLDER), agent, out_directory=str(tmp_path), e2e=True, disable_plotting=True)
    failed = (tmp_path / "failed_test_stories.yml").read_text("utf-8")
    names = re.findall(r"^- story: (.*?)(?: \(.*\))?$", failed, re.MULTILINE)
    accuracy = json.loads((tmp_path / "story_report.json").read_text("utf-8"))["conversation_accuracy"]
    assert not names and accuracy["correct"] == accuracy["total"], f"these stories went otherwise: {names}\n\n{failed}"
    assert accuracy["total"] == len(re.findall(r"^ *- story:", story_texts, re.MULTILINE)) >= 40


def test_every_intent_has_a_test_story(story_texts: str) -> None:
    from rasa.shared.core.domain import Domain

    told = set(re.findall(r"^ *intent: (\w+)$", story_texts, re.MULTILINE))
    assert set(Domain.load(str(ROOT / "domain.yml")).intents) - WITHOUT_STORY <= told


def test_the_files_are_valid() -> None:
    from rasa.shared.importers.importer import TrainingDataImporter
    from rasa.validator import Validator

    importer = TrainingDataImporter.load_from_config(str(ROOT / "config.yml"), str(ROOT / "domain.yml"), [str(ROOT / "data")])
    validator = Validator.from_importer(importer)
    assert validator.verify_domain_validity()
    assert validator.verify_actions_in_stories_rules()
    assert validator.verify_forms_in_stories_rules()
    assert validator.verify_form_slots()
    assert validator.verify_slot_mappings()
    assert validator.verify_intents_in_stories(ignore_warnings=False)
    assert validator.verify_example_repetition_in_intents(ignore_warnings=False)
    assert validator.verify_story_structure(ignore_warnings=False, max_history=4)
