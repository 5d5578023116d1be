"""Everything that touches Rasa: launcher, channel, tracker store, lock. Nothing else imports rasa."""
