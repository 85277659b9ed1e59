"""TRL's experimental PPO on the workload of training.py, imported from where the user has it; nothing is copied."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig

warnings.filterwarnings("ignore")
Rows = list[list[dict[str, Any]]]
LORA = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


def trl_ppo(model: str, questions: Rows, folder: Path) -> float:
    """CPU seconds of one update of TRL's experimental PPO over all steps, with the stored actions as its responses."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    import trl.experimental.ppo.ppo_trainer as module
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TrainerCallback,
    )
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = "<|endoftext|>"
    pad = tokenizer.pad_token_id
    steps = [step for question in questions for step in question]
    by_prefix = {tuple(step["prefix"]): step for step in steps}
    width = max(len(step["action"]) for step in steps)

    def stored(query: torch.Tensor) -> dict[str, Any]:
        return by_prefix[tuple(token for token in query.tolist() if token != pad)]

    def batch_generation(policy: Any, queries: torch.Tensor, size: int, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """What would be sampled is what was stored; its logits come from the policy."""
        answers = [stored(query)["action"] for query in queries]
        answered = torch.tensor([answer + [pad] * (width - len(answer)) for answer in answers])
        both = torch.cat([queries, answered], 1)
        at = queries.shape[1] - 1
        parts = [module.forward(policy, both[i : i + size], pad).logits[:, at:-1] for i in range(0, len(both), size)]
        return both, torch.cat(parts)

    reward_model = torch.nn.Linear(1, 1)
    plain = module.get_reward

    def get_reward(scorer: Any, answered: torch.Tensor, pad_id: int, context: int) -> Any:
        if scorer is reward_model:
            return None, torch.tensor([stored(row[:context])["reward"] for row in answered]), None
        return plain(scorer, answered, pad_id, context)

    module.batch_generation, module.get_reward = batch_generation, get_reward
    arguments = PPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, per_device_train_batch_size=2, num_mini_batches=1,
        gradient_accumulation_steps=len(steps) // 2, num_ppo_epochs=1, total_episodes=len(steps), response_length=width,
        local_rollout_forward_batch_size=2, temperature=1.0, num_sample_generations=0, report_to=[],
        save_strategy="no", gradient_checkpointing=False,
    )  # fmt: skip
    data = Dataset.from_dict({"input_ids": [step["prefix"] for step in steps]})
    trainer = PPOTrainer(
        args=arguments, processing_class=tokenizer, ref_model=None, reward_model=reward_model, train_dataset=data,
        eval_dataset=data, model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), peft_config=LORA,
        value_model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32),
    )  # fmt: skip
    moments: list[float] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            moments.append(time.process_time())

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            moments.append(time.process_time())

    trainer.add_callback(Clock())
    trainer.train()
    return moments[1] - moments[0]
