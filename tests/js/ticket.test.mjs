import assert from "node:assert/strict";
import { test } from "node:test";
import { isAddressRefused, isGone, Ticket } from "../../static/js/upload/ticket.js";

const answer = {
  file_id: "f", method: "MULTIPART", upload_id: "u", part_size: 10, expires_in: 3600,
  parts: [{ part_number: 1, upload_url: "/1" }, { part_number: 2, upload_url: "/2" }],
};

test("an answer about the missing parts renews those and keeps the others", () => {
  const ticket = new Ticket(answer, 0);
  ticket.renew({ expires_in: 3600, parts: [{ part_number: 2, upload_url: "/2b" }] }, 5000);
  assert.deepEqual([ticket.address(1), ticket.address(2), ticket.address(3)], ["/1", "/2b", undefined]);
  assert.deepEqual([ticket.fileId, ticket.uploadId, ticket.partSize, ticket.isMultipart], ["f", "u", 10, true]);
});

test("addresses are renewed a little before their time is over", () => {
  const ticket = new Ticket({ file_id: "f", method: "PUT", upload_url: "/put", headers: { "Content-Type": "text/plain" }, expires_in: 900 }, 0);
  assert.equal(ticket.address(1), "/put");
  assert.deepEqual(ticket.headers, { "Content-Type": "text/plain" });
  assert.equal(ticket.isFresh(860_000), true);
  assert.equal(ticket.isFresh(880_000), false);
});

test("parts that find the same address refused ask for new ones once", () => {
  const ticket = new Ticket(answer, 0);
  const { generation } = ticket;
  ticket.wasRefused(generation);
  assert.equal(ticket.isFresh(0), false);
  ticket.renew(answer, 0);
  ticket.wasRefused(generation); // the second part comes late: it spoke of the old address
  assert.equal(ticket.isFresh(0), true);
});

test("what a store's refusal means", () => {
  assert.equal(isAddressRefused({ status: 403, code: "AccessDenied" }), true);
  assert.equal(isAddressRefused({ status: 400, code: "ExpiredToken" }), true);
  assert.equal(isAddressRefused({ status: 400, code: "EntityTooLarge" }), false);
  assert.equal(isGone({ status: 404, code: "NoSuchUpload" }), true);
  assert.equal(isGone({ status: 409, code: "upload_completed" }), true);
  assert.equal(isGone({ status: 409, code: "missing_part" }), false);
});
