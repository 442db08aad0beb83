/** `GET /`: what there is, for a newcomer with curl. */
import { json } from "../answer.ts";
import type { Door, Exchange, Result } from "../exchange.ts";

const CALLS = {
  "create a topic": 'POST /create-topic {"topic":"demo","partitions":3}',
  "list topics": "GET /list-topics",
  "where partitions are": "GET /metadata",
  "produce a message":
    'POST /produce {"topic":"demo","partition":0,"message":"Hello"}',
  "produce many": 'POST /produce {"topic":"demo","messages":["a","b"]}',
  "consume a message": "GET /consume?topic=demo&partition=0&offset=0",
  "wait for more":
    "GET /consume?topic=demo&partition=0&offset=1&max=100&waitMs=30000",
  "share the work in a group":
    "GET /v1/groups/workers/records?topics=demo&member=m1&waitMs=30000",
  "groups and their lag": "GET /v1/groups/workers",
  "enforce a schema":
    'POST /register-schema {"topic":"demo","schema":{"type":"object"}}',
  "describe a topic": "GET /v1/topics/demo",
  "describe the cluster": "GET /v1/cluster",
  "registered schemas": "GET /subjects",
  "is it ready": "GET /health/ready",
  "metrics": "GET /metrics",
};

export function index(_exchange: Exchange, door: Door): Result {
  return json({
    name: "StreamNest",
    version: door.version,
    brokerId: door.brokerId,
    calls: CALLS,
  });
}
