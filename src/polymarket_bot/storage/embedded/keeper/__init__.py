"""The keeper: the process that runs the server of one data folder as long as it has owners.

It is started on its own, outside the package (see ``launch.py``), because importing the package
would cost it more time than starting the server. So these modules use the standard library and
relative imports only.
"""
