"""An application for tests of the core, run in this process and, by ``GANGLION_APPS``, in processes of its own."""
