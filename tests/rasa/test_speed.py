"""What makes a turn faster must not change what is understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rasa.core.agent import Agent

pytestmark = pytest.mark.rasa

SAID = ("hi", "send 250 to Maria Huber", "what's my balance", "who looked at my account last week??", "qwertz")


async def test_the_classifier_says_the_same_with_its_numbers_in_the_other_order(agent: Agent) -> None:
    from confide.rasa.agent import _store_by_column

    processor = agent.processor
    assert processor is not None
    before = [(await agent.parse_message(text))["intent_ranking"] for text in SAID]
    _store_by_column(processor)
    layouts = [
        node._component.clf.coef_.flags.f_contiguous
        for node in processor.graph_runner._instantiated_nodes.values() if hasattr(node._component, "clf")
    ]
    assert layouts == [True], "the pipeline has one such classifier, and it is laid out by column"
    after = [(await agent.parse_message(text))["intent_ranking"] for text in SAID]
    for old, new in zip(before, after, strict=True):
        assert [each["name"] for each in old] == [each["name"] for each in new]
        assert [each["confidence"] for each in old] == pytest.approx([each["confidence"] for each in new])
