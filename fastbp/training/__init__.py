"""Training: ``fastbp.train``, and the loop around the core that ``SGD`` and ``fit`` share.

``train.py`` has the function and checks its options, ``trainer.py`` its run; ``loop.py`` takes
mini-batches on the core, epoch by epoch, for whoever trains.
"""
