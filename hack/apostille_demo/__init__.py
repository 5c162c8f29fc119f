"""The demo: Apostille's main job on a real API server, told step by step with what really comes out.

``guardian`` is a process in the background that owns the cluster; ``story`` is told in the foreground, as a user of it.
"""
