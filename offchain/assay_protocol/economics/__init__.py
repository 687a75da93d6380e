"""What terms are worth to those who act on them: formulas, tables, a picture. Pure but for the picture's file."""
