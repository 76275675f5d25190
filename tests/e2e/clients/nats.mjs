// The classic JavaScript client.
import { createRequire } from 'node:module';
import { suite } from './javascript.mjs';

const library = createRequire(import.meta.url)('nats');
suite('nats.js 2', library, (error) => error.code === library.ErrorCode.NoResponders);
