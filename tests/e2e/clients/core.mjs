// The present JavaScript client, in its two packages.
import { createRequire } from 'node:module';
import { suite } from './javascript.mjs';

const require = createRequire(import.meta.url);
const library = { ...require('@nats-io/nats-core'), ...require('@nats-io/transport-node') };
suite('nats.js 3', library, (error) => error instanceof library.NoRespondersError ||
        error instanceof library.RequestError && error.isNoResponders());
