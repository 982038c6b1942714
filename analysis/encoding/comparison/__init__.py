"""Other linear models beside ROMP, inside RE images only: estimators of scikit-learn's kind, and a step."""
