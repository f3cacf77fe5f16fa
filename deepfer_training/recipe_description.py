"""Tell in words how a model was trained."""

from collections.abc import Mapping
from typing import Any

from deepfer_training.markdown_text import fill_paragraph, format_percent, make_table


def describe_training(bundle: dict[str, Any]) -> str:
    """Return the section of the model card about the recipe and the training.

    Args:
        bundle: The description of the bundle, with provenance.
    """
    provenance = bundle["provenance"]
    recipe, training = provenance["recipe"], provenance["training"]
    if recipe is None:
        return "## Training\n\nThe exported model came without a record of its training.\n"
    head = provenance["head"] or {"votes_weight": 0.0, "class_balance": 0.0}
    others = _other_heads(recipe, head)
    optimization = recipe["optimization"]
    rows = [
        ("network", _describe_network(recipe["network"])),
        ("trained together with", ", ".join(others) or "nothing else"),
        *_describe_share(recipe.get("public_test_share", 0.0)),
        ("class balance", _describe_balance(head["class_balance"])),
        *_describe_optimization(optimization),
        ("label smoothing", str(optimization["label_smoothing"])),
        ("augmentation", _describe_augmentation(recipe["augmentation"])),
        ("precision", recipe["dtype_policy"]),
        ("seed", str(recipe["seed"])),
    ]  # fmt: skip
    if training is not None:
        if "start" in training:
            rows.append(("started from", f"the weights of {training['start']}"))
        if "teachers" in training:
            rows.append(("teachers", ", ".join(training["teachers"])))
        if "unlabelled_images" in training:
            count = training["unlabelled_images"]
            what = f"{count:,}; their targets are what the teachers answer"
            rows.append(("pictures without labels", what))
        rows.append(("SHA-256 of the data", f"`{training['data_sha256']}`"))
        known = {
            name: training[name] for name in ("python", "keras", "numpy") if name in training
        } | training.get("versions", {})
        rows.append(("versions", ", ".join(f"{name} {value}" for name, value in known.items())))
        if "command" in training:
            rows.append(("command", f"`{training['command']}`"))
    return (
        f"## Training\n\n{fill_paragraph(_describe_targets(head))}\n\n{make_table(('', ''), rows)}"
    )


def commands_of(run: Mapping[str, Any]) -> list[str]:
    """Return the commands that a run or an export took, in their order, as far as it is recorded.

    Args:
        run: What `run_folder.describe_run` returned, or what a bundle says about its export.
    """
    return [*run.get("builds_on", []), *filter(None, [run.get("command")])]


def commands_of_bundle(bundle: Mapping[str, Any]) -> list[str]:
    """Return the commands that made a bundle, in their order, as far as its description says.

    The trainings of its other seeds are among them: the export takes their models, too.

    Args:
        bundle: The description of the bundle.
    """
    provenance = bundle.get("provenance", {})
    trained = bundle.get("seeds", {}).get("commands") or commands_of(
        provenance.get("training") or {}
    )
    # A bundle that was exported from another one builds on that one's training, too.
    return list(dict.fromkeys([*trained, *commands_of(provenance.get("export", {}))]))


def _describe_targets(head: dict[str, Any]) -> str:
    votes, teacher = head["votes_weight"], head.get("teacher_weight", 0.0)
    answers = "what the teachers answer"
    if head.get("teacher_view") == "augmented":
        answers += " to the picture as it was augmented, or to its mirror image"
    if teacher == 1:
        return f"The targets are {answers}."
    targets = {
        0.0: "The targets are the original labels of FER-2013.",
        1.0: "The targets are the shares of the FER+ voters for each of the seven classes.",
    }.get(
        votes,
        f"Each target is {format_percent(1 - votes, 0)} original label of FER-2013 and "
        f"{format_percent(votes, 0)} share of the FER+ voters for each of the seven classes.",
    )
    if teacher == 0:
        return targets
    return (
        f"{targets} Of that remain {format_percent(1 - teacher, 0)}: "
        f"{format_percent(teacher, 0)} of each target are {answers}."
    )


def _describe_share(share: float) -> list[tuple[str, str]]:
    if share == 0:
        return []
    return [("learned from", f"Training and {format_percent(share, 0)} of PublicTest, by content")]


def _describe_balance(class_balance: float) -> str:
    if class_balance == 0:
        return "none: every picture counts the same"
    return f"a picture counts by its class's frequency to the power of -{class_balance:g}"


def _describe_optimization(optimization: dict[str, Any]) -> list[tuple[str, str]]:
    if optimization.get("method", "sgd") == "adam":
        fine_tuning = optimization["fine_tuning"]
        return [
            ("epochs", f"at most {optimization['epochs']}, batches of "
             f"{optimization['batch_size']}"),
            ("optimizer", f"Adam, learning rate {optimization['learning_rate']}, times "
             f"{optimization['plateau_factor']} after {optimization['plateau_patience']} epochs "
             "without a lower loss on PublicTest, end after "
             f"{optimization['stop_patience']}"),
            ("fine-tuning", "none" if fine_tuning is None else
             f"at most {fine_tuning['epochs']} epochs of the last {fine_tuning['top_layers']} "
             f"layers, learning rate {fine_tuning['learning_rate']}"),
            ("weights kept", "of the epoch with the best accuracy on PublicTest"),
        ]  # fmt: skip
    muon_rate = optimization.get("muon_rate", 0.0)
    method = f"Muon ({muon_rate} times the rate for convolutions)" if muon_rate else "SGD"
    return [
        ("epochs", f"{optimization['epochs']}, batches of {optimization['batch_size']}"),
        ("optimizer", f"{method}, Nesterov momentum {optimization['momentum']}, cosine schedule "
         f"from {optimization['learning_rate']} after {optimization['warmup_epochs']} epochs of "
         f"warm-up, decoupled weight decay {optimization['weight_decay']}"),
        ("weights kept", f"moving average, momentum {optimization['ema_momentum']}, of the last "
         "epoch: no checkpoint is picked by its score"),
    ]  # fmt: skip


def _other_heads(recipe: dict[str, Any], head: dict[str, Any]) -> list[str]:
    """Describe what the network learnt beside this head, with all but the last layer shared."""
    return [
        f"{other['name']} ({format_percent(other['votes_weight'], 0)} votes)"
        for other in recipe["heads"]
        if other != head
    ]


def _describe_network(network: dict[str, Any]) -> str:
    if network.get("architecture", "compact_cnn") == "resnet50v2":
        weights = network["weights"]
        started = {
            "imagenet": "weights of ImageNet at first",
            "none": "random weights at first",
        }.get(weights, "weights of a file at first")
        return f"ResNet50V2, {started}, with a dense layer of 64 units before the last one"
    stem = f"stem of {network['stem_width']} channels, " if network["stem_width"] else ""
    ranks = network.get("ranks") or [0] * len(network["widths"])
    stages = [
        f"{blocks} x {width}" + (f" (rank {rank})" if rank else "")
        for blocks, width, rank in zip(network["blocks"], network["widths"], ranks, strict=True)
    ]
    return f"VGG-like, {stem}stages of {', '.join(stages)} channels, dropout {network['dropout']}"


def _describe_augmentation(augmentation: dict[str, Any]) -> str:
    parts = [
        f"rotation up to {augmentation['rotation_deg']:g}°",
        f"scale ±{format_percent(augmentation['scale'], 0)}",
        f"shift {format_percent(augmentation['shift'], 0)}",
        f"contrast ±{format_percent(augmentation['contrast'], 0)}",
        f"brightness ±{format_percent(augmentation['brightness'], 0)}",
        f"{format_percent(augmentation['blur_probability'], 0)} blurred with a standard "
        f"deviation up to {augmentation['blur_sigma_px']:g} px",
        f"{format_percent(augmentation['jpeg_probability'], 0)} compressed as JPEG of quality "
        f"{augmentation['jpeg_quality_min']} or more",
        f"a rectangle erased in {format_percent(augmentation['erasing_probability'], 0)} of the "
        "pictures",
    ]
    if augmentation.get("mixup_probability", 0):
        parts.append(
            f"another picture mixed into {format_percent(augmentation['mixup_probability'], 0)} "
            f"(mixup, alpha {augmentation['mixup_alpha']:g})"
        )
    flips = [
        words
        for name, words in (("horizontal_flip", "mirrored"), ("vertical_flip", "upside down"))
        if augmentation.get(name)
    ]
    return ", ".join(flips + parts)
