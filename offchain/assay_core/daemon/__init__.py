"""What trainer and verifier share as long-running processes: settings, status, and how they end."""
