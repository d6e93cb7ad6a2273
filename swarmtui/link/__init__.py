"""How we talk to managers: SSH, the engine behind a forwarded socket, and what each failure means."""
