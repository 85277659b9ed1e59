"""Rewards, advantages and losses of StepTool from plain numbers."""

from spark_framework.steptool import Annotation, average_annotations, compose_rewards, padded_advantages, padded_loss

# 1. Rewards from what three annotators said of two steps and the final answer.
said = [
    Annotation(succeeded=(True, False), contributions=(5, 2), status="Solved"),
    Annotation(succeeded=(True, True), contributions=(4, 0), status="Unsure"),
    Annotation(succeeded=(True, False), contributions=(5, 1), status="Solved"),
]
rewards = compose_rewards(average_annotations(said))
print("rewards", [round(reward, 4) for reward in rewards])

# 2. One row of eight positions: position t predicts token t + 1, and each run of ones is a step's response.
mask = [[0, 1, 1, 0, 0, 1, 0, 1]]
logp = [[-1.0, -0.5, -2.0, -3.0, -1.0, -0.25, -1.5, -0.75]]
reference = [[-1.2, -0.7, -1.9, -2.5, -1.0, -0.35, -1.3, -0.95]]
values = [[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.5, 0.4]]
for compat in ("paper", "released"):
    found = padded_advantages(mask, [rewards], logp, reference, values, compat=compat)
    print(compat, "advantages", [round(value, 4) for value in found.advantage_BT[0].tolist()])

# 3. The loss of a policy that has moved a little, with the numbers of `released`.
moved = [[-1.0, -0.2, -2.3, -3.0, -1.0, -0.15, -1.5, -0.73]]
loss = padded_loss(mask, moved, logp, found.whitened_BT, values, values, found.return_BT)
print("policy", round(float(loss.policy), 4), "value", round(float(loss.value), 4))
