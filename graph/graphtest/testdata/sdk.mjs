// Drives the npm package @microsoft/microsoft-graph-client, unchanged, against what it believes to be
// graph.microsoft.com. Prints one JSON object; TestGraphJavaScriptSDK judges it.
import { createRequire } from "node:module";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(process.env.DUSKFS_NODE_MODULES + "/");
const { ProxyAgent, setGlobalDispatcher } = require("undici");
const graph = require("@microsoft/microsoft-graph-client");
const { io } = require("socket.io-client");

setGlobalDispatcher(new ProxyAgent(process.env.HTTPS_PROXY));
const client = graph.Client.init({
  authProvider: (done) => done(null, process.env.TOKEN),
  fetchOptions: { headers: { "User-Agent": "NONISV|Example|SDK/1.0" } },
});
const out = {};

// LargeFileUploadTask
const bytes = new Uint8Array(5 * 1024 * 1024 + 17).map((_, n) => (n >> 8) ^ (n * 31));
out.progress = [];
const task = await graph.OneDriveLargeFileUploadTask.create(client, new Blob([bytes]), {
  path: "/sdk", fileName: "large file.bin", rangeSize: 1024 * 1024, conflictBehavior: "fail",
  uploadEventHandlers: { progress: (range) => out.progress.push(range.minValue) },
});
out.uploaded = (await task.upload()).responseBody;
const again = await graph.OneDriveLargeFileUploadTask.create(client, new Blob([bytes.slice(0, 700000)]), {
  path: "/sdk", fileName: "cancelled.bin", rangeSize: 320 * 1024, conflictBehavior: "rename",
});
out.cancelled = (await again.cancel()) !== undefined;
const slow = await graph.OneDriveLargeFileUploadTask.create(client, new Blob([bytes.slice(0, 1000000)]), {
  path: "/sdk", fileName: "resumed.bin", rangeSize: 320 * 1024, conflictBehavior: "replace",
});
await slow.sliceFile({ minValue: 0, maxValue: 320 * 1024 - 1 });
await slow.uploadSlice(await slow.sliceFile({ minValue: 0, maxValue: 320 * 1024 - 1 }), { minValue: 0, maxValue: 320 * 1024 - 1 }, 1000000);
out.resumed = (await slow.resume()).responseBody;

// Downloading
const stream = await client.api(`/me/drive/items/${out.uploaded.id}/content`).responseType(graph.ResponseType.ARRAYBUFFER).get();
out.downloaded = Buffer.compare(Buffer.from(stream), Buffer.from(bytes)) === 0;

// Batch. No version in the addresses: 3.0.7 leaves it in, and Graph then answers 400 (issue 1178 there).
const batch = new graph.BatchRequestContent([
  { id: "1", request: new Request("https://graph.microsoft.com/me/drive/root/children", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "batched", folder: {} }) }) },
  { id: "2", dependsOn: ["1"], request: new Request("https://graph.microsoft.com/me/drive/root:/batched", { method: "GET" }) },
  { id: "3", dependsOn: ["1"], request: new Request("https://graph.microsoft.com/me/drive/items/nothing", { method: "GET" }) },
]);
const answers = new graph.BatchResponseContent(await client.api("/$batch").post(await batch.getContent()));
out.batch = ["1", "2", "3"].map((id) => answers.getResponseById(id).status);

// Page iterator
out.pages = [];
const iterator = new graph.PageIterator(client, await client.api("/me/drive/root:/many:/children").top(7).get(), (x) => { out.pages.push(x.name); return true; });
await iterator.iterate();
const feed = new graph.PageIterator(client, await client.api("/me/drive/root/delta").get(), () => true);
await feed.iterate();
out.deltaLink = feed.getDeltaLink();

// Retry handler
const admin = process.env.ADMIN + "/_emulator/";
const fault = async (f) => { const r = await fetch(admin + "fault", { method: "POST", body: JSON.stringify(f) }); if (!r.ok) throw new Error(await r.text()); };
await fault([{ op: "drive", status: 429, retry_after: 1, scope: "app" }, { op: "drive", status: 503, retry_after: 1 }, { op: "drive", status: 504 }]);
const began = Date.now();
out.retried = (await client.api("/me/drive").get()).driveType;
out.waited = Date.now() - began;
await fault({ op: "item", status: 423, code: "resourceLocked" });
try {
  await client.api("/me/drive/root").get();
} catch (e) {
  out.error = { status: e.statusCode, code: e.code, request: Boolean(e.requestId) };
}

// Change notice, with the socket.io client
const place = await client.api("/me/drive/root/subscriptions/socketIo").get();
const socket = io(place.notificationUrl, { transports: ["websocket"], rejectUnauthorized: true, extraHeaders: { "User-Agent": "NONISV|Example|SDK/1.0" } });
const heard = new Promise((resolve) => socket.on("notification", resolve));
await new Promise((resolve, reject) => { socket.on("connect", resolve); socket.on("connect_error", reject); });
await client.api("/me/drive/root:/sdk/told.txt:/content").put("told");
out.notice = JSON.parse(await Promise.race([heard, sleep(20000, "null")]));
socket.close();

console.log(JSON.stringify(out));
process.exit(0);
