"""The task board: what programs, and the farm, are doing, live in a browser. Works alone, without a farm.

    from farmd.board import get_task_board, start_server

    start_server()                                   # http://127.0.0.1:8765, or joins the board that is there
    board = get_task_board()
    board.add_task("epoch-1", "Epoch 1", total=100)
    board.update_task("epoch-1", 50)
    board.complete_task("epoch-1")

Importing this loads neither a web server nor a socket: that is left to `start_server`.
"""

from farmd.board.taskboard import DEFAULT_HOST, DEFAULT_PORT, TaskBoard, get_task_board, start_server

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "TaskBoard", "get_task_board", "start_server"]
