"""One step of StepTool's trainer on the workload of training.py, with the packages that it needs.

    PYTHONPATH=CLONE/src/steptool OTHER_PYTHON benchmarks/training_steptool.py MODEL ROWS.json EPOCHS

It needs trl 0.10 or 0.11 and a transformers of that time (4.46), so it runs with a Python of its own and imports
nothing of the framework. The trainer comes from where the user has it; nothing is copied. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch
from peft import LoraConfig
from step_ppotrainer import StepPPOTrainer
from transformers import PreTrainedTokenizerFast
from trl import AutoModelForCausalLMWithValueHead, PPOConfig

torch.set_num_threads(1)
model, rows, epochs = sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), int(sys.argv[3])
queries, responses, rewards, masks = [], [], [], []
for steps in rows:  # one row for a trajectory; 1 where the policy wrote
    mask: list[int] = []
    for step in steps:
        mask += [0] * (len(step["prefix"]) - len(mask)) + [1] * len(step["action"])
    queries.append(torch.tensor(steps[-1]["prefix"]))
    responses.append(torch.tensor(steps[-1]["action"]))
    rewards.append(torch.tensor([step["reward"] for step in steps]))
    masks.append(torch.tensor(mask))
lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
policy = AutoModelForCausalLMWithValueHead.from_pretrained(model, peft_config=lora, torch_dtype=torch.float32)
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=str(Path(model, "tokenizer.json")), eos_token="<|im_end|>", pad_token="<|endoftext|>"
)
config = PPOConfig(batch_size=len(rows), mini_batch_size=1, gradient_accumulation_steps=1, ppo_epochs=epochs)
trainer = StepPPOTrainer(config=config, model=policy, tokenizer=tokenizer)
for _ in range(2):  # the first step also touches the memory for the first time
    start = time.process_time()
    trainer.step(queries, responses, rewards, masks)
    seconds = (time.process_time() - start) / epochs
print(json.dumps({"update": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
