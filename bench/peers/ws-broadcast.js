#!/usr/bin/env node
// ws-broadcast: what one writes with Node's ws to fan events out: each message goes to all others on the same path.
// A peer to compare with; the loop is the one that ws's own documentation gives for a broadcast.
//
//       bench/peers/ws-broadcast.js [PORT]     default: a free one, which it tells; ends with SIGTERM
import { WebSocket, WebSocketServer } from 'ws';

const port = Number(process.argv[2] ?? 0);
if (!Number.isInteger(port) || port < 0 || port > 65535) {
  console.error(`ws-broadcast: '${process.argv[2]}' is not a port: it must be between 0 and 65535, 0 for a free one`);
  process.exit(2);
}
const server = new WebSocketServer({ host: '127.0.0.1', port, perMessageDeflate: false });
const rooms = new Map(); // path -> clients

server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}`));
server.on('error', (error) => {
  console.error(`ws-broadcast: ${error.message}`);
  process.exit(1);
});
server.on('connection', (client, request) => {
  const room = rooms.get(request.url) ?? new Set();
  rooms.set(request.url, room.add(client));
  client.on('message', (data, isBinary) => {
    for (const other of room) {
      if (other !== client && other.readyState === WebSocket.OPEN) other.send(data, { binary: isBinary });
    }
  });
  client.on('close', () => {
    room.delete(client);
    if (room.size === 0) rooms.delete(request.url);
  });
  client.on('error', () => client.terminate());
});
process.on('SIGTERM', () => process.exit(0));
