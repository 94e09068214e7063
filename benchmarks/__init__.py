"""How fast, and what each part is worth: a command for each question."""

from training.interruption import end_at_ctrl_c_while_importing

end_at_ctrl_c_while_importing()  # first of all: what a command imports next takes seconds
