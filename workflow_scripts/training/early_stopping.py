"""ms-swift external plugin: a callback that ends a training whose validation no longer improves.

ms-swift's own (`early_stop_interval`) counts from 0 again in every process, so that a training that was stopped and
goes on would end later than an undisturbed one. The patience comes by the environment, because ms-swift refuses command
line flags that it does not know.
"""

import os

from swift.callbacks import TrainerCallback, callbacks_map

from workflow_scripts.training.validation import is_over, judged

CALLBACK = "holdings_early_stopping"
PATIENCE = int(os.environ["HOLDINGS_EARLY_STOPPING"])


class EarlyStopping(TrainerCallback):
    """Ends the training after the validation; the checkpoint of its step is still saved."""

    def on_evaluate(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        """Look at the validations of the whole training, those before a resume included."""
        values = [value for _, value in judged(state.log_history, args.greater_is_better)]
        if is_over(PATIENCE, values):
            control.should_training_stop = True


callbacks_map[CALLBACK] = EarlyStopping
