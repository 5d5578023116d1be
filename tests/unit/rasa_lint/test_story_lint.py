"""Each rule of the lint fires on the mistake it is for, and is silent on the right way next to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from confide.rasa.story_lint import Finding, lint, personal_values

ROOT = Path(__file__).parents[3]
GUARDED = ("action_pay", "action_resume")
RESERVED = ("confide_resume",)

CONFIG = "recipe: default.v1\nlanguage: en\nassistant_id: test\npipeline: []\npolicies: []\n"
DOMAIN = """version: "3.1"
intents: [hello, pay, tell, delete_my_data, confide_resume]
entities: [payee]
actions: [action_pay, action_resume, action_other]
forms:
  pay_form:
    required_slots: [payee]
    ignored_intents: [delete_my_data, confide_resume]
  other_form:
    required_slots: [note]
slots:
  payee:
    type: text
    mappings:
      - type: from_text
        conditions:
          - active_loop: pay_form
  note:
    type: text
    mappings:
      - type: from_text
        not_intent: [delete_my_data, confide_resume]
responses:
  utter_hello:
    - text: "Hello"
"""
RULES = """version: "3.1"
rules:
  - rule: pay
    steps:
      - intent: pay
      - action: action_pay
"""
NLU = """version: "3.1"
nlu:
  - intent: tell
    examples: |
      - about lunch
      - [Maria](payee)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with nothing to find."""
    (tmp_path / "data").mkdir()
    for name, text in (("config.yml", CONFIG), ("domain.yml", DOMAIN), ("data/rules.yml", RULES), ("data/nlu.yml", NLU)):
        (tmp_path / name).write_text(text)
    return tmp_path


def findings(project: Path) -> list[Finding]:
    return lint(project, GUARDED, RESERVED)


def rules(project: Path) -> list[str]:
    return [finding.rule for finding in findings(project)]


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def line_of(file: Path, text: str) -> int:
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


def test_a_clean_project_has_no_findings(project: Path) -> None:
    assert findings(project) == []


def test_our_own_conversation_is_clean() -> None:
    guarded = [
        f"action_{deed}" for deed in (
            "make_payment", "change_payment", "check_balance", "list_transactions", "freeze_card", "set_up_2fa", "verify_identity",
            "resume", "cancel", "human_handoff",
        )
    ]
    assert lint(ROOT, guarded, RESERVED) == []


def test_the_lint_loads_no_tensorflow() -> None:
    code = "import sys, confide.rasa.story_lint; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# 1. nothing comes after a guarded action but the customer


@pytest.mark.parametrize("after", [
    "- action: utter_hello", "- action: action_other", "- slot_was_set:\n          - payee: x", "- active_loop: null", "- bot: Done, it is paid.",
])
def test_a_step_after_a_guarded_action_is_refused(project: Path, after: str) -> None:
    (project / "data/stories.yml").write_text(
        f"version: '3.1'\nstories:\n  - story: paid at once\n    steps:\n      - intent: pay\n      - action: action_pay\n      {after}\n"
    )
    [finding] = findings(project)
    assert (finding.rule, finding.file, finding.line) == ("step-after-guarded", project / "data/stories.yml", 3)


def test_a_rule_is_held_to_it_like_a_story(project: Path) -> None:
    change(project / "data/rules.yml", "- action: action_pay\n", "- action: action_pay\n      - action: utter_hello\n")
    assert rules(project) == ["step-after-guarded"]


def test_a_rule_that_does_not_wait_after_a_guarded_action_is_refused(project: Path) -> None:
    change(project / "data/rules.yml", "- rule: pay\n", "- rule: pay\n    wait_for_user_input: false\n")
    assert rules(project) == ["step-after-guarded"]


def test_the_customer_may_speak_after_a_guarded_action(project: Path) -> None:
    (project / "data/stories.yml").write_text(
        "version: '3.1'\nstories:\n  - story: two acts\n    steps:\n      - intent: pay\n      - action: action_pay\n"
        "      - or:\n          - intent: hello\n          - intent: tell\n      - action: utter_hello\n"
    )
    assert findings(project) == []


@pytest.mark.parametrize(("first", "expected"), [("- action: utter_hello", ["step-after-guarded"]), ("- intent: hello", [])])
def test_a_step_behind_a_checkpoint_counts_too(project: Path, first: str, expected: list[str]) -> None:
    (project / "data/stories.yml").write_text(
        "version: '3.1'\nstories:\n  - story: one\n    steps:\n      - intent: pay\n      - action: action_pay\n      - checkpoint: paid\n"
        f"  - story: two\n    steps:\n      - checkpoint: paid\n      {first}\n      - action: action_other\n"
    )
    assert rules(project) == expected


def test_steps_before_a_guarded_action_are_free(project: Path) -> None:
    change(project / "data/rules.yml", "- action: action_pay\n", "- action: utter_hello\n      - action: action_pay\n")
    assert findings(project) == []


# 2. no field takes a request for its answer


@pytest.mark.parametrize("forgotten", ["delete_my_data", "confide_resume"])
def test_a_form_that_would_swallow_a_request_is_refused(project: Path, forgotten: str) -> None:
    change(project / "domain.yml", "ignored_intents: [delete_my_data, confide_resume]", f"ignored_intents: [hello, {_other(forgotten)}]")
    [finding] = findings(project)
    assert (finding.rule, finding.line) == ("form-swallows-request", line_of(project / "domain.yml", "  payee:"))
    assert forgotten in finding.message


@pytest.mark.parametrize("forgotten", ["delete_my_data", "confide_resume"])
def test_a_mapping_without_the_refused_intents_is_refused(project: Path, forgotten: str) -> None:
    change(project / "domain.yml", "not_intent: [delete_my_data, confide_resume]", f"not_intent: [{_other(forgotten)}]")
    assert rules(project) == ["form-swallows-request"]


def test_ignored_intents_count_only_where_every_condition_is_that_form(project: Path) -> None:
    change(project / "domain.yml", "          - active_loop: pay_form\n", "          - active_loop: pay_form\n          - active_loop: other_form\n")
    assert rules(project) == ["form-swallows-request"]


def test_ignored_intents_do_not_count_where_no_form_needs_to_run(project: Path) -> None:
    change(project / "domain.yml", "        conditions:\n          - active_loop: pay_form\n", "")
    assert rules(project) == ["form-swallows-request"]


def test_a_mapping_for_named_intents_takes_no_others(project: Path) -> None:
    change(project / "domain.yml", "not_intent: [delete_my_data, confide_resume]", "intent: [tell]")
    assert findings(project) == []


def _other(intent: str) -> str:
    return "confide_resume" if intent == "delete_my_data" else "delete_my_data"


# 3. no slot or entity for a secret


@pytest.mark.parametrize("name", ["otp", "user_password", "cardPin", "sms_code", "secret_2", "tokens", "cvv", "one_time_code"])
def test_a_slot_or_entity_for_a_secret_is_refused(project: Path, name: str) -> None:
    change(project / "domain.yml", "entities: [payee]", f"entities:\n  - payee\n  - {name}")
    change(project / "domain.yml", "  note:\n    type: text\n", f"  {name}:\n    type: text\n    mappings: []\n  note:\n    type: text\n")
    found = findings(project)
    assert [finding.rule for finding in found] == ["secret-name", "secret-name"]
    assert all(name in finding.message for finding in found)


@pytest.mark.parametrize("name", ["postcode", "spin", "shopping", "encoded_text", "pinned"])
def test_a_name_that_only_contains_such_a_word_is_fine(project: Path, name: str) -> None:
    change(project / "domain.yml", "entities: [payee]", f"entities: [payee, {name}]")
    assert findings(project) == []


# 4. no false card


@pytest.mark.parametrize("card", ["secure_input", "qr", "passkey", "confirm", "consent", "download", "receipt", " Confirm "])
def test_a_response_that_draws_one_of_our_cards_is_refused(project: Path, card: str) -> None:
    change(project / "domain.yml", '    - text: "Hello"\n', f'    - text: "Hello"\n      custom:\n        items: [{{type: "{card}", title: Paid}}]\n')
    [finding] = findings(project)
    assert (finding.rule, finding.line) == ("reserved-card", line_of(project / "domain.yml", "custom:"))


def test_a_card_in_the_data_folder_is_refused(project: Path) -> None:
    (project / "data/more.yml").write_text("version: '3.1'\nresponses:\n  utter_more:\n    - custom: {type: receipt}\n")
    assert rules(project) == ["reserved-card"]


def test_other_custom_messages_are_the_designers_own(project: Path) -> None:
    change(project / "domain.yml", '    - text: "Hello"\n', '    - custom: {type: carousel, title: "confirm"}\n')
    assert findings(project) == []


# 5. no button with a reserved intent


@pytest.mark.parametrize("payload", ["/confide_resume", '/confide_resume{"payee": "x"}', " /confide_resume@0.9", "/Confide_Resume"])
def test_a_button_with_a_reserved_intent_is_refused(project: Path, payload: str) -> None:
    change(project / "domain.yml", '    - text: "Hello"\n', f"    - text: Hello\n      buttons:\n        - title: Go\n          payload: '{payload}'\n")
    [finding] = findings(project)
    assert (finding.rule, finding.line) == ("reserved-intent", line_of(project / "domain.yml", "payload:"))


@pytest.mark.parametrize("payload", ["/hello", "/confide_resume_later", "confide_resume", "#sign-in"])
def test_other_buttons_are_fine(project: Path, payload: str) -> None:
    change(project / "domain.yml", '    - text: "Hello"\n', f"    - text: Hello\n      buttons:\n        - title: Go\n          payload: '{payload}'\n")
    assert findings(project) == []


# 6. nobody's data in the examples


@pytest.mark.parametrize("value", [
    "GB82 WEST 1234 5698 7654 32", "gb82west12345698765432", "BE71 0961 2345 6769", "4111 1111 1111 1111", "378282246310005", "someone@mail.example", "482913", "482 913",
])
def test_personal_data_in_an_example_is_refused_and_not_repeated(project: Path, value: str) -> None:
    change(project / "data/nlu.yml", "- about lunch", f"- it is {value} I think")
    found = findings(project)
    assert {finding.rule for finding in found} == {"personal-data"}
    assert {finding.line for finding in found} == {line_of(project / "data/nlu.yml", value)}
    assert value not in "".join(finding.message + finding.fix for finding in found)


def test_personal_data_in_an_entity_a_lookup_a_synonym_and_a_story_is_refused_too(project: Path) -> None:
    change(
        project / "data/nlu.yml", "- [Maria](payee)",
        "- [maria@mail.example](payee)\n  - lookup: payee\n    examples: |\n      - tom@mail.example\n"
        "  - synonym: Anna\n    examples: |\n      - anna@mail.example",
    )
    (project / "data/stories.yml").write_text(
        "version: '3.1'\nstories:\n  - story: s\n    steps:\n      - user: write to ann@mail.example\n      - action: utter_hello\n"
    )
    found = findings(project)
    assert [finding.rule for finding in found] == ["personal-data"] * 4
    assert {finding.file.name for finding in found} == {"nlu.yml", "stories.yml"}


@pytest.mark.parametrize("text", [
    "GB82 WEST 1234 5698 7654 33", "4111 1111 1111 1112", "IBAN_4HGT2WQ7", "PERSON_7K2QX4MD", "invoice 20419", "send 1,250.00", "the card ending 4410",
    "someone at mail dot example", "call 5", "1000000",
])
def test_what_is_nobodys_is_fine(text: str) -> None:
    assert list(personal_values(text)) == []


def test_files_that_rasa_cannot_read_are_one_finding(project: Path) -> None:
    (project / "domain.yml").write_text("version: '3.1'\nslots: [\n")
    assert rules(project) == ["unreadable"]


def test_a_split_domain_is_read_too(project: Path) -> None:
    (project / "domain").mkdir()
    text = (project / "domain.yml").read_text()
    (project / "domain.yml").unlink()
    (project / "domain/all.yml").write_text(text.replace("entities: [payee]", "entities: [payee, otp]"))
    assert rules(project) == ["secret-name"]
