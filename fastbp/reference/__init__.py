"""The book's two modules in plain Python and NumPy: the specification of fastbp.

One sample at a time, in float64, written from BP1-BP4. Nothing here imports the
rest of the package, so that the compiled core is judged by something it cannot
have influenced. Its costs and ``feedforward`` accept complex parameters, so that
the complex step can judge every gradient.
"""
