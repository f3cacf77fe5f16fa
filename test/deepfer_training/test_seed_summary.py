from typing import Any

import pytest

from deepfer_training.seed_summary import read_scores, summarize


def _evaluation(accuracy: float, **others: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "accuracy": accuracy,
        "macro_f1": accuracy / 2,
        "ece": 0.02,
        "recall": {"happy": accuracy, "sad": 0.5, "fear": None},
        "ferplus": None,
        **others,
    }


def test_mean_and_spread() -> None:
    evaluations = [_evaluation(accuracy) for accuracy in (0.4, 0.6, 0.8)]

    summary = summarize(evaluations)

    assert summary["models"] == 3
    assert summary["accuracy"] == {"mean": 0.6, "std": 0.2, "min": 0.4, "max": 0.8}
    assert summary["macro_f1"]["std"] == pytest.approx(0.1)
    # No picture shows fear, so that nobody knows how often it is recognised.
    assert summary["worst_recall"]["min"] == 0.4
    assert summary["worst_recall"]["max"] == 0.5
    assert set(summary) == {"models", "accuracy", "macro_f1", "worst_recall", "ece"}


def test_every_label_set_and_the_mirror_image_are_summed_up() -> None:
    strict = {"accuracy": 0.9, "macro_f1": 0.8, "ece": 0.01}
    evaluations = [
        _evaluation(
            0.6,
            ferplus=_evaluation(0.7),
            ferplus_strict=strict,
            tta=_evaluation(0.65, ferplus=_evaluation(0.75)),
        )
    ] * 2

    summary = summarize(evaluations)

    assert summary["ferplus"]["accuracy"] == {"mean": 0.7, "std": 0, "min": 0.7, "max": 0.7}
    assert set(summary["ferplus_strict"]) == {"accuracy", "macro_f1", "ece"}
    assert summary["tta"]["ferplus"]["accuracy"]["mean"] == 0.75
    assert "models" not in summary["tta"]


def test_one_model_has_no_spread() -> None:
    assert summarize([_evaluation(0.6)])["accuracy"]["std"] == 0


def test_what_only_some_models_have_is_left_out() -> None:
    evaluations = [_evaluation(0.6, ferplus=_evaluation(0.7)), _evaluation(0.6)]

    assert "ferplus" not in summarize(evaluations)
    assert read_scores(evaluations[1], "ferplus") == {}
