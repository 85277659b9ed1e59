"""Rewards, advantages and losses of StepTool from plain numbers."""

import torch
from spark_framework.steptool import (
    Annotation,
    ResponseSpans,
    advantages,
    average_annotations,
    compose_rewards,
    step_loss,
    token_rewards,
    whiten,
)

# 1. Rewards from what three annotators said of two steps and the final answer.
said = [
    Annotation(succeeded=(True, False), contributions=(5, 2), status="Solved"),
    Annotation(succeeded=(True, True), contributions=(4, 0), status="Unsure"),
    Annotation(succeeded=(True, False), contributions=(5, 1), status="Solved"),
]
rewards = compose_rewards(average_annotations(said))
print("rewards", [round(reward, 4) for reward in rewards])

# 2. Four response tokens of eight positions. Position t predicts token t + 1; each run of ones is a step's response.
spans = ResponseSpans.of_mask([0, 1, 1, 0, 0, 1, 0, 1])
logp_T = torch.tensor([-0.5, -2.0, -0.25, -0.75])
reference_T = torch.tensor([-0.7, -1.9, -0.35, -0.95])
value_T = torch.tensor([0.2, 0.3, 0.6, 0.4])
for compat in ("paper", "released"):
    reward_T = token_rewards(torch.tensor(rewards), logp_T, reference_T, spans, kl_coef=0.3, compat=compat)
    advantage_T, return_T = advantages(reward_T, value_T, spans, gamma=0.99, lam=0.95, compat=compat)
    print(compat, "advantages", [round(value, 4) for value in advantage_T.tolist()])

# 3. The loss of a policy that has moved a little, with the numbers of `released`.
moved_T = torch.tensor([-0.2, -2.3, -0.15, -0.73])
loss = step_loss(moved_T, logp_T, whiten(advantage_T), value_T, value_T, return_T, clip=0.2, value_clip=0.2)
print("policy", round(float(loss.policy), 4), "value", round(float(loss.value), 4))
