"""The terms of a task played out, beside what the formulas of `assay economics` say about them."""
