"""What a user sees of a running workflow: a line for all its jobs, and where everything lies at its end."""
