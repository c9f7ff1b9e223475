"""Made-up results for each claim of each lesson: good ones, and one change for each assertion that breaks it."""

import math
from types import SimpleNamespace

import torch

ONE, TWO = torch.ones(2, 3), torch.full((2, 3), 2.0)
FOUR, SIX = torch.ones(4), torch.ones(6)
SIZES = [1, 4, 16, 64, 256, 1024]
# Lesson 3: a trained model against the reader that always says the most frequent piece, and what breaks each assertion.
GROUPS = ("50 most frequent", "other first pieces", "rest of a word")
CONTROLS = {
    "GROUPS": GROUPS,
    "is_news": True,
    "spread": [0.14, 0.15, 0.16],
    "trained": {"loss": 6.0, "[MASK]": 0.15, "kept": 0.7, GROUPS[0]: 0.45, GROUPS[1]: 0.02},
    "most_frequent": {"loss": 7.8, "[MASK]": 0.04},
}
BROKEN = [{"loss": 7.4}, {"[MASK]": 0.07}, {"kept": 0.1}, {GROUPS[0]: 0.1}, {"[MASK]": 0.3}]
CLAIMS = {
    "1-attention": {
        "toy-matrix-claim": (
            {
                "weights_by_loop": FOUR / 4,
                "weights_by_matrix": FOUR / 4,
                "context_by_loop": torch.tensor([1.0, 0.5]),
                "context_by_matrix": torch.tensor([1.0, 0.5]),
            },
            [{"weights_by_matrix": FOUR / 5}, {"context_by_matrix": torch.tensor([1.0, 0.6])}],
        ),
        "module-claim": (
            {
                "weights_by_loop": FOUR / 4,
                "context_by_loop": torch.tensor([1.0, 0.5]),
                "weights_by_module": torch.tensor([[[0.25] * 4 + [0.0] * 2]]),
                "context_by_module": torch.tensor([[[1.0, 0.5]]]),
                "weights_unmasked": torch.tensor([[[0.1] * 4 + [0.3] * 2]]),
            },
            [
                {"weights_by_loop": FOUR / 5},
                {"context_by_module": torch.tensor([[[1.0, 0.6]]])},
                {"weights_by_module": torch.tensor([[[0.25] * 4 + [0.01] * 2]])},
                {"weights_unmasked": torch.tensor([[[0.25] * 4 + [0.0] * 2]])},
            ],
        ),
        "encoder-claim": (
            {"moved_with_packing": 1e-7, "moved_without_packing": 1.4},
            [{"moved_with_packing": 0.01}, {"moved_without_packing": 1e-7}],
        ),
        "forced-claim": (
            {"forced_token": 0.8, "without_token": {2: 0.6}},
            [{"forced_token": 0.5}],
        ),
        "bottleneck-claim": (
            {
                "with_exact": {1: 1.0, 2: 0.98, 3: 0.95, 4: 0.0},
                "without_exact": {1: 0.3, 2: 0.01, 3: 0.0, 4: 0.0},
                "without_token": {1: 0.9, 2: 0.78, 3: 0.68, 4: 0.5},
                "untrained_exact": {1: 0.0, 2: 0.0, 3: 0.0, 4: 0.0},
            },
            [
                {"with_exact": {1: 1.0, 2: 0.98, 3: 0.79, 4: 0.0}},
                {"without_exact": {1: 0.9, 2: 0.7, 3: 0.6, 4: 0.0}},
                {"without_exact": {1: 1.0, 2: 0.01, 3: 0.0, 4: 0.0}},
                {"without_token": {1: 0.7, 2: 0.7, 3: 0.68, 4: 0.5}},
                {"with_exact": {1: 1.0, 2: 0.98, 3: 0.95, 4: 0.9}},
                {"untrained_exact": {1: 0.1, 2: 0.0, 3: 0.0, 4: 0.0}},
            ],
        ),
        "errors-claim": (
            {"first": {"year": 0.2, "day": 0.8}, "second": {"year": 0.5, "day": 0.1}},
            [
                {"second": {"year": 0.95, "day": 0.7}},
                {"second": {"year": 0.25, "day": 0.1}},
            ],
        ),
        "mass-claim": (
            {"masses": {"year": (0.7, 0.09), "month": (0.2, 0.1), "day": (0.9, 0.04)}},
            [{"masses": {"year": (0.2, 0.09), "month": (0.2, 0.1), "day": (0.2, 0.04)}}],
        ),
        "explanation-claim": (
            {
                "heavy": 2,
                "decisive": 4,
                "heavy_effect": 0.0,
                "decisive_effect": 0.9,
            },
            [{"heavy": 4}, {"heavy_effect": 0.4}, {"decisive_effect": 0.3}],
        ),
        "dot-claim": (
            {
                "sizes": SIZES,
                "variances": [float(size) for size in SIZES],
                "scaled_variances": [1.0] * len(SIZES),
                "largest": [[0.2, 0.2], [0.96, 0.25]],
            },
            [
                {"variances": [1.0] * len(SIZES)},
                {"scaled_variances": [float(size) for size in SIZES]},
                {"largest": [[0.2, 0.2], [0.5, 0.25]]},
                {"largest": [[0.2, 0.2], [0.96, 0.9]]},
            ],
        ),
        "dot-library-claim": ({"by_formula": SIX, "by_library": SIX}, [{"by_library": SIX / 2}]),
        "cost-parameters-claim": ({"extra": 6176, "predicted_extra": 6176}, [{"extra": 6177}]),
    },
    "2-transformers": {
        "toy-claim": (
            {
                "weights_by_loop": SIX / 6,
                "weights_by_matrix": SIX / 6,
                "output_by_loop": SIX,
                "output_by_matrix": SIX,
                "output_by_library": SIX,
            },
            [{"weights_by_matrix": SIX / 5}, {"output_by_matrix": SIX / 2}, {"output_by_library": SIX / 2}],
        ),
        "masks-claim": (
            {
                "by_formula": torch.tensor([[math.nan, math.nan], [1.0, 1.0]]),
                "by_library": torch.tensor([[0.0, 0.0], [1.0, 1.0]]),
            },
            [
                {"by_formula": torch.tensor([[0.0, 0.0], [1.0, 1.0]])},
                {"by_library": torch.tensor([[0.5, 0.5], [1.0, 1.0]])},
                {"by_library": torch.tensor([[0.0, 0.0], [1.0, 0.9]])},
            ],
        ),
        "permute-claim": (
            {"output_shuffled": FOUR.cumsum(0).flip(0), "output_by_matrix": FOUR.cumsum(0), "shuffled": [3, 2, 1, 0]},
            [{"output_shuffled": FOUR.cumsum(0)}],
        ),
        "positions-claim": (
            {"products": torch.ones(64, 64)},
            [{"products": torch.ones(64, 64).cumsum(0)}],
        ),
        "order-claim": (
            {"order": {"no positions": 0.5, "sinusoidal": 1.0, "learned": 1.0}},
            [
                {"order": {"no positions": 0.65, "sinusoidal": 1.0, "learned": 1.0}},
                {"order": {"no positions": 0.5, "sinusoidal": 0.5, "learned": 1.0}},
            ],
        ),
        "heads-claim": (
            {"heads_output": ONE, "library_output": ONE, "heads_weights": ONE / 3, "library_weights": ONE / 3},
            [{"library_output": TWO}, {"library_weights": ONE / 2}],
        ),
        "block-claim": (
            {"pairs": {True: (ONE, ONE), False: (TWO, TWO)}},
            [{"pairs": {True: (ONE, TWO), False: (TWO, TWO)}}, {"pairs": {True: (ONE, ONE), False: (TWO, ONE)}}],
        ),
        "parameters-claim": ({"counted": 7_087_872, "predicted": 7_087_872}, [{"counted": 7_087_871}]),
        "decoder-claim": (
            {
                "decoder_output": torch.ones(2, 5, 16),
                "decoder_library": torch.ones(2, 5, 16),
                "decoder_other": torch.ones(2, 5, 16).index_fill(1, torch.tensor(4), 2.0),
            },
            [
                {"decoder_library": torch.zeros(2, 5, 16)},
                {"decoder_other": torch.full((2, 5, 16), 2.0)},
                {"decoder_other": torch.ones(2, 5, 16)},
            ],
        ),
        "dates-claim": (
            {"untrained_exact": 0.0, "dates_exact": 0.95},
            [{"untrained_exact": 0.1}, {"dates_exact": 0.7}],
        ),
        "news-padding-claim": ({"moved_by_padding": 1e-7}, [{"moved_by_padding": 0.01}]),
        "news-count-claim": ({"news_counted": 369_028, "news_predicted": 369_028}, [{"news_counted": 369_027}]),
        "news-claim": (
            {
                "is_news": True,
                "trained_loss": 0.1,
                "untrained_loss": 1.4,
                "train_dataset": [0] * 1000,
                "untrained_accuracy": 0.25,
                "lstm_accuracy": 0.55,
                "bag_accuracy": 0.87,
                "transformer_accuracy": 0.85,
            },
            [
                {"trained_loss": 1.5},
                {"trained_loss": 1.5, "is_news": False},
                {"untrained_accuracy": 0.5},
                {"untrained_accuracy": 0.25, "transformer_accuracy": 0.4, "lstm_accuracy": 0.3},
                {"lstm_accuracy": 0.9},
                {"train_dataset": [0] * 15_000, "transformer_accuracy": 0.81},
            ],
        ),
    },
    "3-bert": {
        "toy-claim": (
            {"by_loop": SIX, "by_matrix": SIX, "by_layer": SIX, "loss_by_loop": ONE, "loss_by_library": ONE},
            [{"by_matrix": 2 * SIX}, {"by_layer": 2 * SIX}, {"loss_by_library": TWO}],
        ),
        "pieces-claim": (
            {
                "library_pieces": {"w", "##i", "##in"},
                "toy_letters": {"w", "##i"},
                "toy_pieces": {"##in": 22},
                "by_library": {"pins": ["p", "##in", "##s"]},
                "by_hand": {"pins": ["p", "##in", "##s"]},
            },
            [{"toy_pieces": {"##it": 16}}, {"by_hand": {"pins": ["[UNK]"]}}],
        ),
        "news-pieces-claim": ({"differing": []}, [{"differing": ["court"]}]),
        "senses-claim": (
            {
                "embedded_by_hand": ONE,
                "states": [ONE],
                "senses": ["court"],
                "similarity": {("court", "court"): torch.tensor([[0.97, 0.87], [0.98, 0.75]])},
            },
            [
                {"states": [TWO]},
                {"similarity": {("court", "court"): torch.tensor([[0.97, 0.87], [0.80, 0.75]])}},
                {"similarity": {("court", "court"): torch.tensor([[0.97, 0.87], [0.98, 0.86]])}},
            ],
        ),
        "mask-claim": (
            {
                "shown": torch.tensor([[7, 103, 9]]),
                "shown_by_library": torch.tensor([[7, 103, 9]]),
                "labels": torch.tensor([[-100, 8, -100]]),
                "labels_by_library": torch.tensor([[-100, 8, -100]]),
                "shares": {
                    "chosen": (9_000, 60_000),
                    "[MASK]": (7_200, 9_000),
                    "replaced": (880, 9_000),
                    "kept": (920, 9_000),
                },
            },
            [
                {"shown": torch.tensor([[7, 8, 9]])},
                {"labels": torch.tensor([[-100, 8, 9]])},
                {
                    "shares": {
                        "chosen": (9_600, 60_000),
                        "[MASK]": (7_680, 9_600),
                        "replaced": (960, 9_600),
                        "kept": (960, 9_600),
                    }
                },
                {
                    "shares": {
                        "chosen": (9_000, 60_000),
                        "[MASK]": (9_000, 9_000),
                        "replaced": (0, 9_000),
                        "kept": (0, 9_000),
                    }
                },
                {
                    "shares": {
                        "chosen": (9_000, 60_000),
                        "[MASK]": (7_200, 9_000),
                        "replaced": (0, 9_000),
                        "kept": (1_800, 9_000),
                    }
                },
            ],
        ),
        "loss-claim": (
            {
                "math": math,
                "tokenizer": range(30_522),
                "is_news": True,
                "weights": {"cls.dense.weight": ONE, "bert.encoder.layer.0": ONE},
                "other_weights": {"cls.dense.weight": ONE, "bert.encoder.layer.0": TWO},
                "tied": True,
                "loss_picked": torch.tensor(9.0),
                "loss_everywhere": torch.tensor(9.0),
                "loss_frequency": 7.9,
            },
            [
                {"other_weights": {"cls.dense.weight": TWO, "bert.encoder.layer.0": TWO}},
                {"other_weights": {"cls.dense.weight": ONE, "bert.encoder.layer.0": ONE}},
                {"tied": False},
                {"loss_everywhere": torch.tensor(9.1)},
                {"loss_frequency": 9.9},
            ],
        ),
        "controls-claim": (CONTROLS, [CONTROLS | {"trained": CONTROLS["trained"] | change} for change in BROKEN]),
        "heads-claim": (
            {
                "usual": 6.0,
                "again": 6.0,
                "harm": torch.zeros(4, 12),
                "to_previous": torch.full((4, 12), 0.9),
                "to_sep": torch.zeros(4, 12),
            },
            [{"again": 6.01}, {"harm": torch.zeros(12, 4)}, {"to_previous": torch.full((4, 12), 0.4)}],
        ),
        "formula-claim": (
            {
                "counted": {"base": 109_482_240, "large": 335_141_888},
                "predicted": {"base": 109_482_240, "large": 335_141_888},
            },
            [
                {"predicted": {"base": 109_482_240, "large": 335_141_887}},
                {"counted": {"base": 1, "large": 2}, "predicted": {"base": 1, "large": 2}},
            ],
        ),
        "bill-claim": (
            {"bert_tokens": 42_598_400_000, "ratio": 200_000, "pretraining_operations": 2e19, "is_news": True},
            [
                {"bert_tokens": 42_598_400_001},
                {"ratio": 90_000},
                {"ratio": 70_000, "is_news": False},
                {"pretraining_operations": 2e22},
            ],
        ),
    },
    "4-bert-classification": {
        "toy-claim": (
            {"by_loop": torch.tensor(10.0), "by_matrix": torch.tensor(10.0), "by_library": torch.tensor([[10.0]])},
            [{"by_matrix": torch.tensor(6.0)}, {"by_library": torch.tensor([[6.0]])}],
        ),
        "pad-claim": (
            {"masked": {"input_ids": ONE}, "by_tokenizer": {"input_ids": ONE}},
            [{"by_tokenizer": {"input_ids": TWO}}],
        ),
        "mask-claim": (
            {"is_news": True, "moved_with": 1e-6, "moved_without": 0.066},
            [{"moved_with": 0.014}, {"moved_without": 1e-6}],
        ),
        "padding-claim": ({"moved_by_padding": 1e-6}, [{"moved_by_padding": 0.01}]),
        "loop-claim": ({"by_helper": [1.4, 1.3], "by_hand": [1.4, 1.3]}, [{"by_hand": [1.4, 1.35]}]),
        "evaluate-claim": (
            {
                "is_news": True,
                "train_dataset": [0] * 1000,
                "history": {"loss": [1.0, 0.3, 0.1]},
                "test_accuracy": 0.95,
                "first_accuracy": 0.95,
                "guessing": 0.25,
            },
            [
                {"is_news": False, "history": {"loss": [1.0, 0.3, 1.1]}},
                {"test_accuracy": 0.84},
                {"guessing": 0.5},
                {"train_dataset": [0] * 120_000, "test_accuracy": 0.86},
            ],
        ),
        "keep-claim": (
            {
                "classes": ["no", "yes"],
                "loaded": SimpleNamespace(config=SimpleNamespace(id2label={0: "no", 1: "yes"})),
                "logits_before": ONE,
                "logits_after": ONE,
            },
            [{"classes": ["yes", "no"]}, {"logits_after": ONE + 0.01}],
        ),
        "frozen-claim": (
            {
                "is_news": True,
                "math": math,
                "classes": ["no", "yes"],
                "frozen_loss": torch.tensor(0.1),
                "frozen_accuracy": 0.9,
                "guessing": 0.25,
                "first_accuracy": 0.92,
            },
            [
                {"is_news": False, "frozen_loss": torch.tensor(0.7)},
                {"frozen_accuracy": 0.6},
                {"first_accuracy": 0.79},
            ],
        ),
    },
    "5-beyond-classification": {
        "toy-back-claim": (
            {
                "toy_names": [("LOC", 2, 3), ("LOC", 4, 4)],
                "names_by_loop": [("LOC", 2, 3), ("LOC", 4, 4)],
                "names_by_library": [("LOC", 2, 3), ("LOC", 4, 4)],
                "names_without_b": [("LOC", 2, 4)],
            },
            [
                {"names_by_loop": [("LOC", 2, 4)]},
                {"names_by_library": [("LOC", 2, 4)]},
                {"names_without_b": [("LOC", 2, 3), ("LOC", 4, 4)]},
            ],
        ),
        "toy-span-claim": (
            {"likely_start": 5, "likely_end": 3, "span_by_loop": (2, 3), "span_by_matrix": (2, 3)},
            [
                {"likely_end": 5},
                {"span_by_matrix": (5, 3)},
                {"span_by_loop": (5, 5), "span_by_matrix": (5, 5)},
            ],
        ),
        "round-trip-claim": (
            {"lost": 0, "invented": 0, "longest_text": 95, "MAX_LENGTH": 128},
            [{"lost": 1}, {"invented": 1}, {"longest_text": 128}],
        ),
        "collate-claim": ({"four": {"labels": ONE}, "four_by_library": {"labels": ONE}}, [{"four": {"labels": TWO}}]),
        "names-loss-claim": (
            {
                "last_hidden": ONE,
                "names_shape": (2, 3),
                "names_logits": ONE,
                "logits_by_hand": ONE,
                "names_loss": torch.tensor(2.2),
                "loss_by_hand": torch.tensor(2.2),
            },
            [{"names_shape": (2, 4)}, {"logits_by_hand": TWO}, {"loss_by_hand": torch.tensor(2.3)}],
        ),
        "always-o-claim": ({"always_o": 0.88}, [{"always_o": 0.8}]),
        "evaluate-names-claim": (
            {"names_f1": 0.8, "names_f1_by_library": 0.8, "untrained_names_f1": 0.01},
            [
                {"names_f1_by_library": 0.81},
                {"names_f1": 0.69, "names_f1_by_library": 0.69},
                {"untrained_names_f1": 0.3},
            ],
        ),
        "seen-names-claim": (
            {"seen_recall": 0.95, "new_recall": 0.73},
            [{"seen_recall": 0.7}, {"new_recall": 0.4}],
        ),
        "answers-trip-claim": (
            {"lost_answers": 0, "longest_answer": 12},
            [{"lost_answers": 1}, {"longest_answer": 21}],
        ),
        "baseline-claim": (
            {
                "vector_shapes": ((200, 384), (418, 384)),
                "wanted_shapes": ((200, 384), (418, 384)),
                "right_sentence": 0.88,
                "by_chance": 0.49,
                "oracle_f1": 0.23,
            },
            [{"vector_shapes": ((200, 384), (200, 384))}, {"right_sentence": 0.5}, {"oracle_f1": 0.4}],
        ),
        "answers-loss-claim": (
            {"answers_loss": torch.tensor(4.1), "answers_loss_by_hand": torch.tensor(4.1)},
            [{"answers_loss_by_hand": torch.tensor(8.2)}],
        ),
        "evaluate-answers-claim": (
            {"answer_em": 0.7, "answer_f1": 0.85, "baseline_f1": 0.2, "untrained_answer_f1": 0.08},
            [{"answer_em": 0.4}, {"answer_f1": 0.64}, {"baseline_f1": 0.5}, {"untrained_answer_f1": 0.4}],
        ),
        "heads-claim": (
            {
                "same_names": True,
                "only_sequence": ["bert.pooler.dense.bias", "bert.pooler.dense.weight"],
                "largest_difference": 0.0,
            },
            [{"same_names": False}, {"only_sequence": []}, {"largest_difference": 1e-6}],
        ),
    },
    "6-faster-and-bigger": {
        "toy-cells-claim": (
            {
                "toy_by_loop": {"as drawn": 30, "sorted": 24},
                "toy_by_matrix": {"as drawn": 30, "sorted": 24},
                "toy_by_helper": 24,
            },
            [{"toy_by_matrix": {"as drawn": 30, "sorted": 25}}, {"toy_by_helper": 30}],
        ),
        "adamw-claim": (
            {"adamw_by_loop": FOUR, "adamw_by_vector": FOUR, "adamw_by_library": FOUR, "adamw_fused": FOUR},
            [{"adamw_by_vector": FOUR / 2}, {"adamw_by_library": FOUR / 2}, {"adamw_fused": FOUR / 2}],
        ),
        "batches-claim": (
            {
                "singly": {"input_ids": ONE},
                "together": {"input_ids": ONE},
                "lengths": [5, 6],
                "grouped_cells": 12,
                "random_cells": 14,
                "is_news": True,
            },
            [
                {"together": {"input_ids": TWO}},
                {"grouped_cells": 15, "is_news": False},
                {"lengths": [5, 8], "is_news": False},
                {"grouped_cells": 14},
            ],
        ),
        "attention-claim": (
            {"attention_results": {("eager", torch.float32): (ONE, ONE), ("sdpa", torch.float32): (ONE, ONE)}},
            [{"attention_results": {("eager", torch.float32): (ONE, ONE), ("sdpa", torch.float32): (ONE, TWO)}}],
        ),
        "proof-fused-claim": (
            {"weights_before": ONE, "weights_simple": ONE + 2e-4, "weights_fused": ONE + 2e-4},
            [{"weights_fused": ONE + 3e-4}, {"weights_before": ONE + 2e-4}],
        ),
        "proof-first-claim": (
            {"logits_all": ONE, "logits_first": ONE, "gradient_all": ONE, "gradient_first": ONE},
            [
                {"logits_first": ONE + 0.01},
                {"gradient_first": TWO},
                {"gradient_all": ONE * 0, "gradient_first": ONE * 0},
            ],
        ),
        "proof-words-claim": (
            {
                "looked_up": torch.tensor([True, False]),
                "words_decayed": torch.tensor([0.5, 0.5]),
                "words_all": torch.tensor([0.6, 0.5]),
                "words_some": torch.tensor([0.6, 0.5]),
            },
            [
                {"words_some": torch.tensor([0.7, 0.5])},  # a row that occurs
                {"words_some": torch.tensor([0.6, 0.6])},  # a row that does not
                {"words_decayed": torch.tensor([0.5, 0.6])},
                {"words_all": torch.tensor([0.5, 0.5]), "words_some": torch.tensor([0.5, 0.5])},
            ],
        ),
        "ladder-claim": (
            {
                "is_news": True,
                "measured": {"old loop": 0.1, "larger rate, up and down": 0.05, "batches of 16": 0.04},
                "rungs": {"old loop": {}, "larger rate, up and down": {}, "batches of 16": {}},
                "TRAINED": ["old loop", "larger rate, up and down", "batches of 16"],
                "accuracies": {"old loop": 0.5, "larger rate, up and down": 0.9, "batches of 16": 0.8},
            },
            [
                {"measured": {"old loop": 0.1}, "is_news": False},
                {"TRAINED": ["old loop"], "is_news": False},
                {"accuracies": {"old loop": 0.5, "larger rate, up and down": 0.55, "batches of 16": 0.8}},
                {"accuracies": {"old loop": 0.8, "larger rate, up and down": 0.75, "batches of 16": 0.8}},
                {"accuracies": {"old loop": 0.5, "larger rate, up and down": 0.9, "batches of 16": 0.4}},
            ],
        ),
        "no-compile-claim": (
            {"compile_pays": {(40, 0.5, 0.4): 401, (40, 0.5, 0.6): None}},
            [
                {"compile_pays": {(40, 0.5, 0.4): 100, (40, 0.5, 0.6): None}},
                {"compile_pays": {(40, 0.5, 0.4): 401, (40, 0.5, 0.6): 5}},
            ],
        ),
        "kept-claim": ({"kept_ratios": [2.0, 4.0]}, [{"kept_ratios": [1.5, 4.0]}, {"kept_ratios": [2.0, 3.0]}]),
        "accumulate-claim": (
            {"parts_difference": 1e-6, "parts_kept": 80, "kept_bytes": {8: 80}, "whole_kept": 320},
            [{"parts_difference": 0.1}, {"parts_kept": 160}],
        ),
        "recompute-claim": (
            {"recomputed_difference": 1e-6, "recomputed_kept": 30, "whole_kept": 320},
            [{"recomputed_difference": 0.1}, {"recomputed_kept": 200}],
        ),
        "copies-claim": (
            {"whole_batch": ONE, "averaged": ONE, "one_half": TWO},
            [{"averaged": TWO}, {"one_half": ONE}],
        ),
        "ring-claim": (
            {"ring": [[6, 60, 600]] * 3, "ring_sums": [6, 60, 600], "sent_by_each": [4, 4, 4]},
            [{"ring": [[6, 60, 600], [6, 60, 600], [6, 60, 300]]}, {"sent_by_each": [4, 4, 6]}],
        ),
        "finetune-claim": (
            {"loss_difference": 1e-6, "answered": [3, 3], "small_test": [0, 1, 2], "right": [2, 2]},
            [{"loss_difference": 1e-3}, {"answered": [3, 4]}, {"right": [2, 6]}],
        ),
        "scale-claim": (
            {
                "total_seconds": {1: 32.8, 8: 6.5, 64: 3.6},
                "scale": {1: (11250, 32.8, 0.0), 8: (1407, 4.1, 2.4), 64: (176, 0.5, 3.1)},
            },
            [
                {"total_seconds": {1: 32.8, 8: 3.0, 64: 3.6}},
                {"total_seconds": {1: 32.8, 8: 6.5, 64: 1.0}},
                {"scale": {1: (11250, 32.8, 0.0), 8: (1407, 4.1, 2.4), 64: (176, 3.1, 0.5)}},
            ],
        ),
    },
}
