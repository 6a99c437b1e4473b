"""The table of endpoints: everything that this door serves, in the order of the reference page."""

from __future__ import annotations

from typing import Final

from farmd.web import bulk, documents, farmschemas, files, jobs, logs, metrics, nodes, results, scenes, schemas, tasks
from farmd.web.endpoints import Answer, Endpoint, Handler
from farmd.web.settings import MAX_LIST_BYTES

SERVICE, JOBS, FARM, ABOUT = "Render service", "Jobs", "Farm", "About"

_RANGE_HEADERS: Final = {
    "Content-Range": "part of the file that this is: bytes 0-1048575/5000000; none = all of it; "
    "bytes */5000000 without a body = all of it was sent before"
}
_KEY_HEADERS: Final = {"Idempotency-Key": "any new name: the same one with the same request makes no second job"}


def _order(action: str, summary: str, body: type[farmschemas.OrderBody] = farmschemas.OrderBody) -> Endpoint:
    return Endpoint(
        "POST", f"/api/v1/jobs/{{job}}/{action}", f"{action}_job", summary, jobs.controlling(action), JOBS,
        body=body, answer=farmschemas.Ordered, refusals=(404, 409),
    )  # fmt: skip


def _get(path: str, name: str, summary: str, handler: Handler, *, gives: tuple[str, type[Answer]]) -> Endpoint:
    tag, answer = gives
    return Endpoint("GET", path, name, summary, handler, tag, answer=answer, refusals=(404,))


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        "POST", "/api/scene/analyse", "analyse_scene",
        "Say what a scene needs: one of this node below a folder that may be named, or one that you have sent.",
        scenes.analyse_scene, SERVICE, body=schemas.AnalyseBody, answer=schemas.AssetDocument, refusals=(404, 409),
    ),
    Endpoint(
        "POST", "/api/scene/upload", "upload_scene",
        "Declare the files of a scene; the answer is upload.json, and which files are still to be sent.",
        scenes.upload_scene, SERVICE, body=schemas.UploadBody, answer=schemas.UploadDocument,
        most_bytes=MAX_LIST_BYTES,
    ),
    Endpoint(
        "PUT", "/api/files/{md5}", "put_file",
        "Send a file, or the next part of one; it is verified when it is complete.",
        files.put_file, SERVICE, query=schemas.PutQuery, raw_body="application/octet-stream",
        answer=schemas.FileState, status=201, also=(200, 202), refusals=(408, 409, 411, 416), headers=_RANGE_HEADERS,
    ),
    Endpoint(
        "GET", "/api/files/{md5}", "show_file",
        "Say how much of a file is here; HEAD says it in Upload-Offset and Upload-Complete.",
        files.show_file, SERVICE, answer=schemas.FileState, refusals=(404,),
    ),
    Endpoint(
        "POST", "/api/task/create", "create_task",
        "Make a job of a task.json; its files must have been sent.",
        tasks.create_task, SERVICE, body=schemas.TaskBody, answer=schemas.TaskCreated, status=201, refusals=(404, 409),
        headers=_KEY_HEADERS,
    ),
    _get("/api/task/{id}", "show_task", "Give back the task.json.", tasks.show_task, gives=(SERVICE, schemas.TaskDocument)),
    _get(
        "/api/task/{id}/status", "show_task_status", "Say how far a task is.",
        tasks.show_status, gives=(SERVICE, schemas.TaskStatus),
    ),
    Endpoint(
        "GET", "/api/task/{id}/frames", "list_task_frames", "List the frames of a task, and the files that they left.",
        results.list_frames, SERVICE, query=schemas.TasksQuery, answer=schemas.FramesDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/files/download", "download_file", "Send a file that a frame has left; Range goes on with one.",
        results.download, SERVICE, query=schemas.DownloadQuery, answer="application/octet-stream", also=(206,),
        refusals=(404, 409, 416), headers={"Range": "where to go on: bytes=1048576-"},
    ),
    Endpoint(
        "GET", "/api/v1/jobs", "list_jobs", "List jobs, the newest first.",
        jobs.list_jobs, JOBS, query=farmschemas.JobsQuery, answer=farmschemas.JobsDocument,
    ),
    Endpoint(
        "POST", "/api/v1/jobs", "create_job", "Submit a job in the farm's own words.",
        jobs.create_job, JOBS, body=farmschemas.JobBody, answer=farmschemas.Submitted, status=201, refusals=(404, 409),
        headers=_KEY_HEADERS,
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}", "show_job", "Show a job, at once or when it has changed.",
        jobs.show_job, JOBS, query=farmschemas.WatchQuery, answer=farmschemas.JobRow, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/tasks", "list_tasks", "List the tasks of a job.",
        jobs.list_tasks, JOBS, query=schemas.TasksQuery, answer=farmschemas.TasksDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/why", "explain_job", "Say why a job or a frame does not run.",
        jobs.explain, JOBS, query=farmschemas.FrameQuery, answer=farmschemas.WhyDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/results", "list_results", "List the files that a job has left.",
        results.list_results, JOBS, query=farmschemas.FramesQuery, answer=farmschemas.ResultsDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/logs", "list_logs", "List the logs of a job: one for each try of each frame.",
        logs.list_logs, JOBS, query=farmschemas.LogsQuery, answer=farmschemas.LogsDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/log", "show_log",
        "Show lines of a log: the last ones, those from an offset on, or, with wait_s, those that come.",
        logs.show_log, JOBS, query=farmschemas.LogQuery, answer=farmschemas.LogDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/log/find", "find_in_log", "Search a log on the machine that has it.",
        logs.find_in_log, JOBS, query=farmschemas.FindQuery, answer=farmschemas.LogDocument, refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/log/raw", "show_raw_log", "Send a part of a log as it was written.",
        logs.show_raw_log, JOBS, query=farmschemas.RawLogQuery, answer="text/plain", refusals=(404,),
    ),
    Endpoint(
        "GET", "/api/v1/jobs/{job}/thumbnails/{frame}", "show_thumbnail", "Show a finished frame, small.",
        jobs.show_thumbnail, JOBS, answer="image/jpeg", refusals=(404,),
    ),
    Endpoint(
        "PATCH", "/api/v1/jobs/{job}", "edit_job", "Change a job: what runs goes on as it was started.",
        jobs.edit_job, JOBS, body=farmschemas.EditBody, answer=farmschemas.Edited, refusals=(404, 409),
    ),
    Endpoint(
        "DELETE", "/api/v1/jobs/{job}", "delete_job", "Delete a job that has ended, its results among it.",
        jobs.controlling("delete"), JOBS, answer=farmschemas.Ordered, refusals=(404, 409),
    ),
    _order("pause", "Hand out no more frames of a job.", farmschemas.PauseBody),
    _order("resume", "Go on with a paused job."),
    _order("cancel", "End a job for good."),
    _order("approve", "Go on after the test frames."),
    _order("reject", "End a job after its test frames."),
    _order("retry", "Try frames again.", farmschemas.RetryBody),
    _order("priority", "Change the priority of a job.", farmschemas.PriorityBody),
    _order("archive", "Take a job that has ended out of the usual lists."),
    _order("unarchive", "Put it back."),
    Endpoint(
        "POST", "/api/v1/orders", "order_jobs", "Give one order to many jobs: each has its own result.",
        bulk.order_jobs, JOBS, body=farmschemas.OrdersBody, answer=farmschemas.OrdersDocument, refusals=(409,),
    ),
    _get("/api/v1/farm", "show_farm", "Show the farm.", nodes.show_farm, gives=(FARM, farmschemas.FarmDocument)),
    Endpoint(
        "GET", "/api/v1/feed", "follow_farm", "Tell what changes, as it does: jobs, machines, counts, alerts.",
        nodes.follow, FARM, query=farmschemas.FeedQuery, answer=farmschemas.FeedDocument,
    ),
    _get("/api/v1/nodes", "list_nodes", "List machines.", nodes.list_nodes, gives=(FARM, farmschemas.NodesDocument)),
    _get("/api/v1/nodes/{node}", "show_node", "Show a machine.", nodes.show_node, gives=(FARM, farmschemas.NodeDocument)),
    Endpoint(
        "POST", "/api/v1/nodes/{node}/hold", "hold_node", "Give a machine no new work.",
        nodes.ordering("node.hold"), FARM, body=farmschemas.HoldBody, answer=farmschemas.Ordered, refusals=(404, 409),
    ),
    Endpoint(
        "POST", "/api/v1/nodes/{node}/drain", "drain_node", "Give a machine no new work, to switch it off.",
        nodes.ordering("node.drain"), FARM, body=farmschemas.HoldBody, answer=farmschemas.Ordered, refusals=(404, 409),
    ),
    Endpoint(
        "POST", "/api/v1/nodes/{node}/release", "release_node", "Let a machine work again.",
        nodes.ordering("node.release"), FARM, body=farmschemas.OrderBody, answer=farmschemas.Ordered, refusals=(404, 409),
    ),
    Endpoint(
        "GET", "/api/v1/events", "list_events", "List who did what, the newest last.",
        nodes.list_events, FARM, query=farmschemas.EventsQuery, answer=farmschemas.EventsDocument, refusals=(404,),
    ),
    _get("/api/v1/users/me", "show_me", "Say whose token this is.", nodes.show_me, gives=(FARM, farmschemas.Me)),
    Endpoint(
        "GET", "/metrics", "show_metrics", "Numbers for Prometheus.",
        metrics.show_metrics, ABOUT, answer="text/plain", when_down=metrics.farm_is_down,
    ),
    Endpoint(
        "GET", "/health", "show_health", "Say that this process answers.",
        documents.show_health, ABOUT, answer=farmschemas.Health, needs_token=False,
    ),
    Endpoint(
        "GET", "/openapi.json", "show_openapi", "Describe this interface.",
        documents.show_openapi, ABOUT, answer="application/json", needs_token=False,
    ),
    Endpoint(
        "GET", "/docs", "show_docs", "Describe this interface to people.",
        documents.show_docs, ABOUT, answer="text/html", needs_token=False,
    ),
)  # fmt: skip
