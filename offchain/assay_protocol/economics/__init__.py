"""What terms are worth to those who act on them: tables, a simulation, a picture. Pure but for the picture's file."""
