"""What is a refusal, and of which class: the filter and the judge of the evaluation."""
