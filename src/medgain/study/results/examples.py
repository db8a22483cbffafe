"""Before and after: what each policy of a study does to some of its training images."""

from __future__ import annotations

import json

import numpy as np

from medgain.augment import resolve_policy
from medgain.augment.pictures import before_after
from medgain.runtime.files import atomic_path
from medgain.runtime.records import write_record
from medgain.runtime.seeds import SeedTree
from medgain.study.cells import list_folds
from medgain.study.dataset import Prepared
from medgain.study.folder import StudyFolder
from medgain.study.plan.plan import Plan
from medgain.study.records.pictures import PolicyExample, PolicyExamples

EXAMPLES = 6


def write_policy_examples(plan: Plan, folder: StudyFolder, prepared: Prepared) -> None:
    """Write `policies.json` and `policies.npz` from the first fold's training images."""
    arms: dict[str, list[str]] = {}
    for name in plan.arms:
        policy = plan.recipe(name).policy
        if policy is not None:
            arms.setdefault(json.dumps(policy, sort_keys=True), []).append(name)
    where = list_folds(plan, plan.fractions[0])[0]
    train = prepared.split(plan, where).train
    rng = SeedTree(plan.seed).child("examples").numpy()
    rows = rng.choice(train, min(EXAMPLES, len(train)), replace=False)
    images = np.asarray(prepared.images.images[rows])
    masks = None if prepared.images.masks is None else np.asarray(prepared.images.masks[rows])
    arrays: dict[str, np.ndarray] = {}
    described = []
    for position, (spec, names) in enumerate(arms.items()):
        applied = resolve_policy(json.loads(spec))
        generator = SeedTree(plan.seed).child("examples", spec).torch()
        shown = before_after(applied, images, generator, count=EXAMPLES, masks=masks)
        arrays[f"{position}_before"] = np.stack([one.before for one in shown])
        arrays[f"{position}_after"] = np.stack([one.after for one in shown])
        moved = [one.masks for one in shown if one.masks is not None]
        if moved:
            arrays[f"{position}_before_masks"] = np.stack([before for before, _ in moved])
            arrays[f"{position}_after_masks"] = np.stack([after for _, after in moved])
        described.append(
            PolicyExample(
                policy=json.loads(spec),
                arms=names,
                describe=[one.description for one in shown],
            )
        )
    if arrays:
        with atomic_path(folder.policies_arrays) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        write_record(folder.policies_file, PolicyExamples(policies=described))
