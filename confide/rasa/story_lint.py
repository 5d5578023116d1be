"""What plain Rasa tools do not see in the conversation files, and a designer could not know (docs/designers.md explains each rule).

The control that counts is the guard inside each action: a story proves nothing (design.md, "The guard"). These rules keep honest mistakes
out of the files. Reads with `rasa.shared` alone, so TensorFlow stays unloaded. A finding never repeats a personal value.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecuted, UserUttered
from rasa.shared.core.training_data.structures import StoryGraph, StoryStep
from rasa.shared.exceptions import RasaException
from rasa.shared.importers.importer import TrainingDataImporter
from rasa.shared.nlu.training_data.training_data import TrainingData
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

#: Cards that only the gateway draws, from what the core says. One in a response would be a false confirmation.
RESERVED_CARDS = frozenset({"secure_input", "qr", "passkey", "confirm", "consent", "download", "receipt"})
#: What a customer may ask at any moment, in the middle of a form too.
PRIVACY_INTENTS = frozenset({
    "access_my_data", "download_my_data", "correct_my_data", "delete_my_data", "restrict_my_data", "object_to_processing", "opt_out_of_sale",
    "limit_sensitive_data", "know_categories", "appeal_decision", "request_human_review", "review_consent", "give_consent",
    "withdraw_consent", "ask_privacy_policy", "ask_what_is_stored", "ask_who_received", "ask_who_accessed", "request_status", "cancel_request",
})
_SECRET_WORDS = frozenset({
    "otp", "totp", "code", "password", "passwort", "passwd", "passcode", "pincode", "secret", "token", "pin", "cvv", "cvc",
})

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
_CARD_NUMBER = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_SIX_DIGITS = re.compile(r"(?<!\d)\d{3}[ -]?\d{3}(?!\d)")


@dataclass(frozen=True)
class Finding:
    """One thing to mend: where (line from 1, or None), by which rule, what is wrong and how to put it right."""

    file: Path
    line: int | None
    rule: str
    message: str
    fix: str


def lint(root: Path, guarded: Collection[str], reserved: Collection[str]) -> list[Finding]:
    """Return what is wrong with config.yml, domain.yml (or domain/) and data/ below `root`.

    `guarded` names the actions that decide for themselves (`action_…`), `reserved` the intents that only we send. Files that cannot be
    read at all make one finding, `unreadable`.
    """
    domain_path = root / "domain.yml" if (root / "domain.yml").is_file() else root / "domain"
    sources = Sources.below(domain_path, root / "data")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Rasa warns of is for `rasa data validate` to say
            importer = TrainingDataImporter.load_from_config(str(root / "config.yml"), str(domain_path), [str(root / "data")])
            domain, stories, nlu = importer.get_domain(), importer.get_stories(), importer.get_nlu_data()
        documents = sources.parsed()
    except (RasaException, YAMLError, OSError, ValueError) as error:
        return [Finding(root, None, "unreadable", f"Rasa cannot read the files ({type(error).__name__}).", "See `rasa data validate`.")]
    return list(chain(
        _steps_after_guarded(stories, guarded, sources),
        _form_swallows(domain, reserved, domain_path, sources),
        _secret_names(domain, domain_path, sources),
        _reserved_cards(documents),
        _reserved_payloads(documents, reserved),
        _personal_data(nlu, sources, root / "data"),
    ))


@dataclass(frozen=True)
class Sources:
    """The conversation files as text, to say where a finding is."""

    texts: dict[Path, str]

    @classmethod
    def below(cls, *places: Path) -> Sources:
        """Read every YAML file at or below `places`; one that is not text is left to Rasa to complain of."""
        files = chain.from_iterable([place] if place.is_file() else sorted(place.rglob("*.y*ml")) for place in places)
        return cls({file: file.read_text("utf-8", errors="replace") for file in files})

    def parsed(self) -> dict[Path, Any]:
        """Return each file as round-trip YAML, which knows its lines. Raises YAMLError."""
        return {file: YAML(typ="rt").load(text) for file, text in self.texts.items()}

    def find(self, pattern: str, fallback: Path) -> tuple[Path, int | None]:
        """Return the first place of the regular expression `pattern`, a line at a time; `fallback` and None when there is none."""
        for file, text in self.texts.items():
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(pattern, line):
                    return file, number
        return fallback, None


def _steps_after_guarded(stories: StoryGraph, guarded: Collection[str], sources: Sources) -> Iterator[Finding]:
    """A guarded action may stop to ask for a proof. A step written after it would run, and speak, as if it had been done."""
    for step in stories.story_steps:
        for place, event in enumerate(step.events):
            if not isinstance(event, ActionExecuted) or event.action_name not in guarded:
                continue
            if not _user_is_next(step, place + 1, stories, frozenset()):
                file, line = sources.find(rf"(?:rule|story):\s*[\"']?{re.escape(step.block_name)}[\"']?\s*$", Path(step.source_name or "data"))
                yield Finding(
                    file, line, "step-after-guarded", f"'{step.block_name}' goes on after {event.action_name} without the customer.",
                    "Make the guarded action the last step; it says its own outcome.",
                )


def _user_is_next(step: StoryStep, place: int, stories: StoryGraph, visited: frozenset[str]) -> bool:
    """Say whether nothing but a user turn comes at `place` of `step`, or behind the checkpoints the step ends with."""
    if place < len(step.events):
        event = step.events[place]
        return all(isinstance(each, UserUttered) for each in (event if isinstance(event, list) else [event]))
    names = {checkpoint.name for checkpoint in step.end_checkpoints} - visited
    following = [other for other in stories.story_steps if names & {checkpoint.name for checkpoint in other.start_checkpoints}]
    return all(_user_is_next(other, 0, stories, visited | names) for other in following)


def _form_swallows(domain: Domain, reserved: Collection[str], file: Path, sources: Sources) -> Iterator[Finding]:
    """A field that takes any text would take "/confide_resume" or "who looked at my account" for its answer."""
    needed = set(reserved) | (PRIVACY_INTENTS & set(domain.intents))
    for slot in domain.slots:
        for mapping in slot.mappings:
            if mapping.get("type") != "from_text":
                continue
            swallowed = _taken(mapping, domain, needed)
            if swallowed:
                yield Finding(
                    *sources.find(rf"^\s*{re.escape(slot.name)}:\s*$", file), "form-swallows-request",
                    f"The slot '{slot.name}' takes any text, and with it {', '.join(sorted(swallowed))}.",
                    "Name these under `not_intent` of the mapping or under `ignored_intents` of its form.",
                )


def _taken(mapping: dict[str, Any], domain: Domain, needed: set[str]) -> set[str]:
    wanted = _as_set(mapping.get("intent"))
    if wanted:
        return needed & wanted
    loops = [condition.get("active_loop") for condition in mapping.get("conditions", [])]
    # A form's ignored intents count only while it runs: each condition must name a form.
    ignored = [_as_set((domain.forms.get(loop) or {}).get("ignored_intents")) for loop in loops]
    refused = _as_set(mapping.get("not_intent"))
    return {intent for intent in needed - refused if not ignored or not all(intent in each for each in ignored)}


def _as_set(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value or ())


def _secret_names(domain: Domain, file: Path, sources: Sources) -> Iterator[Finding]:
    """A one-time code in a slot is in the tracker, in every action payload and in the logs (requirements.md, S16)."""
    names = [("slot", slot.name) for slot in domain.slots] + [("entity", name) for name in domain.entities]
    for kind, name in names:
        if _words(name) & _SECRET_WORDS:
            yield Finding(
                *sources.find(rf"^\s*(?:- )?{re.escape(name)}\b:?", file), "secret-name", f"The {kind} '{name}' looks made for a secret.",
                "Secrets are typed into a secure card, never into a message. Ask for a guarded action instead, or choose another name.",
            )


def _words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return {word.removesuffix("s") for word in re.findall(r"[a-z]+", spaced.lower())}


def _reserved_cards(documents: dict[Path, Any]) -> Iterator[Finding]:
    for file, key, value, line in _entries(documents):
        if key != "custom":
            continue
        types = {str(each).strip().lower() for name, each in _flat(value) if name == "type"}
        for card in sorted(types & RESERVED_CARDS):
            yield Finding(
                file, line, "reserved-card", f"A custom message draws a '{card}' card, which only the gateway may.",
                "Take it out: the guarded action opens the card. Other custom types are yours.",
            )


def _reserved_payloads(documents: dict[Path, Any], reserved: Collection[str]) -> Iterator[Finding]:
    for file, key, value, line in _entries(documents):
        intent = re.match(r"\s*/+\s*([^\s{@]+)", value) if key == "payload" and isinstance(value, str) else None
        if intent and intent[1].lower() in reserved:
            yield Finding(
                file, line, "reserved-intent", f"A button sends '{intent[1]}', which customers may not.",
                "Use an intent of your own; the gateway refuses this one.",
            )


def _entries(documents: dict[Path, Any]) -> Iterator[tuple[Path, str, Any, int]]:
    for file, document in documents.items():
        for mapping in _mappings(document):
            for key, value in mapping.items():
                yield file, str(key), value, mapping.lc.key(key)[0] + 1


def _mappings(node: Any) -> Iterator[CommentedMap]:
    if isinstance(node, CommentedMap):
        yield node
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _mappings(child)


def _flat(node: Any) -> Iterator[tuple[str, Any]]:
    for mapping in _mappings(node):
        yield from mapping.items()


def _personal_data(nlu: TrainingData, sources: Sources, folder: Path) -> Iterator[Finding]:
    """A model keeps its examples, those in stories too: someone's address in them outlives every erasure."""
    lookups = chain.from_iterable(table["elements"] for table in nlu.lookup_tables if isinstance(table.get("elements"), list))
    examples = (example.get("text") for example in nlu.training_examples)
    for text in sorted({str(text) for text in chain(examples, nlu.entity_synonyms, lookups) if text}):
        for kind, value in personal_values(text):
            yield Finding(
                *sources.find(re.escape(value), folder), "personal-data", f"An example holds what looks like {kind}.",
                "Write one that belongs to nobody: EMAIL_7K2QX4MD or IBAN_7K2QX4MD, as the gateway puts it.",
            )


def personal_values(text: str) -> Iterator[tuple[str, str]]:
    """Yield what `text` holds of real personal data: a description and the value. IBANs (ISO 13616) and cards (ISO/IEC 7812) by checksum."""
    yield from (("an e-mail address", value) for value in _EMAIL.findall(text))
    yield from (("an account number", iban) for value in _IBAN.findall(text) if (iban := _valid_iban(value)))
    yield from (("a card number", value) for value in _CARD_NUMBER.findall(text) if _luhn(value))
    yield from (("a one-time code", value) for value in _SIX_DIGITS.findall(text))


def _valid_iban(value: str) -> str | None:
    """Return the valid IBAN that `value` starts with: the pattern may have taken words after it along."""
    groups = value.split(" ")
    for count in range(len(groups), 0, -1):
        compact = "".join(groups[:count]).upper()
        if len(compact) >= 15 and _mod_97(compact) == 1:
            return " ".join(groups[:count])
    return None


def _mod_97(iban: str) -> int:
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97


def _luhn(value: str) -> bool:
    digits: Iterable[int] = [int(digit) for digit in re.sub(r"\D", "", value)[::-1]]
    return sum(digit if place % 2 == 0 else sum(divmod(digit * 2, 10)) for place, digit in enumerate(digits)) % 10 == 0
