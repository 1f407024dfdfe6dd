"""The work that everything is measured on: classify → extract beside validate → summarize.

An application as a user writes one. Payloads are 300 bytes of JSON: the input, each result, and what the
last step gets (two findings of 150 bytes). The agents do nothing else than return.
"""
