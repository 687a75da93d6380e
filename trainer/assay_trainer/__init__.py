"""A bonded trainer: takes each open epoch's prompts, rolls out, proves, trains, uploads, commits, and goes on."""
