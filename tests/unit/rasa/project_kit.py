"""A Rasa project small enough to train in a test: rules, a form that can be left, a story, and slots that the policies see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONFIG = """
recipe: default.v1
language: en
assistant_id: test
pipeline:
  - name: KeywordIntentClassifier
policies:
  - name: RulePolicy
    enable_fallback_prediction: false
  - name: MemoizationPolicy
    max_history: 3
"""
DOMAIN = """
version: "3.1"
intents: [greet, pay, break_it, leave, mood, again]
entities: []
slots:
  amount:
    type: text
    influence_conversation: false
    mappings:
      - type: from_text
        not_intent: [greet, pay, break_it, leave, mood, again]
        conditions:
          - active_loop: pay_form
            requested_slot: amount
  payee:
    type: text
    influence_conversation: false
    mappings:
      - type: from_text
        not_intent: [greet, pay, break_it, leave, mood, again]
        conditions:
          - active_loop: pay_form
            requested_slot: payee
  paid:
    type: bool
    influence_conversation: true
    mappings:
      - type: custom
forms:
  pay_form:
    required_slots: [payee, amount]
actions: [action_paid, action_broken]
responses:
  utter_hello:
    - text: hello from the bot
    - text: hello in the chat
      channel: confide
  utter_ask_payee:
    - text: to whom
  utter_ask_amount:
    - text: how much
  utter_left:
    - text: left it
  utter_mood:
    - text: and you
  utter_welcome:
    - text: welcome, this is the first turn
  utter_mood_after_paying:
    - text: richer before
  utter_again:
    - text: again then
session_config:
  session_expiration_time: 60
  carry_over_slots_to_new_session: true
"""
NLU = """
version: "3.1"
nlu:
  - intent: greet
    examples: |
      - hello
      - hi
  - intent: pay
    examples: |
      - pay
      - payment
  - intent: break_it
    examples: |
      - broken
      - boom
  - intent: leave
    examples: |
      - leave
      - stop
  - intent: mood
    examples: |
      - mood
      - feeling
  - intent: again
    examples: |
      - again
      - repeat
"""
RULES = """
version: "3.1"
rules:
  - rule: welcome, once
    conversation_start: true
    steps:
      - intent: again
      - action: utter_welcome
  - rule: greet
    steps:
      - intent: greet
      - action: utter_hello
  - rule: break
    steps:
      - intent: break_it
      - action: action_broken
  - rule: start paying
    steps:
      - intent: pay
      - action: pay_form
      - active_loop: pay_form
  - rule: paid
    condition:
      - active_loop: pay_form
    steps:
      - action: pay_form
      - active_loop: null
      - slot_was_set:
          - requested_slot: null
      - action: action_paid
  - rule: leave the form
    condition:
      - active_loop: pay_form
    steps:
      - intent: leave
      - action: action_deactivate_loop
      - active_loop: null
      - action: utter_left
  - rule: mood after paying
    condition:
      - slot_was_set:
          - paid: true
    steps:
      - intent: mood
      - action: utter_mood_after_paying
stories:
  - story: mood and again
    steps:
      - intent: mood
      - action: utter_mood
      - intent: again
      - action: utter_again
"""
FILES = {"config.yml": CONFIG, "domain.yml": DOMAIN, "data/nlu.yml": NLU, "data/rules.yml": RULES}

HOME = Path(__file__).resolve().parents[3]


def environment(root: Path) -> dict[str, str]:
    """The environment of a process that works on the project at `root`, and nothing of ours besides."""
    return {"PATH": os.environ["PATH"], "HOME": str(root), "PYTHONPATH": str(HOME), "CONFIDE_VAR": str(root / "var")}


def train(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the real trainer on it."""
    return subprocess.run(
        [sys.executable, "-m", "confide.rasa.train"], cwd=root, env=environment(root), capture_output=True, text=True, timeout=180,
        check=False,
    )
