"""What is tested: statistics, draws, intervals, trends, dissimilarities, tables of results."""
