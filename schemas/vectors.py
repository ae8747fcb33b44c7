"""Embeddings."""

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]  # a row a text, of length 1
