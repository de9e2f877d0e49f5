"""The demo model: a scripted, OpenAI-compatible server on loopback. It is no AI; OpenCode and all that it does with it are real."""
