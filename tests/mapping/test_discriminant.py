import torch

from skillmesh.mapping.discriminant import inverse_of_triangle


def test_the_inverse_of_a_triangle_is_the_library_s() -> None:
    """An odd size, so that the halves differ."""
    factor = torch.tril(torch.rand(301, 301, dtype=torch.float64)) + 5 * torch.eye(301).double()
    torch.testing.assert_close(inverse_of_triangle(factor), torch.linalg.inv(factor))
