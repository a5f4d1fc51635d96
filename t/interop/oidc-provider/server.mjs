// A provider of the npm package oidc-provider, with clients that come and go.
//
// usage: node server.mjs PORT CERTIFICATE KEY TTL
//
// Prints its port as soon as it serves, and ends with its input. Each line of
// the input is a command, answered by a line: {"id": ..., "secret": ...,
// "scope": ..., "format": "jwt" | "opaque"} makes or changes a client, or with
// "grant" one that may use another grant, or with "expires" one whose secret
// ends then; {"id": ..., "remove": true} takes it away; {"id": ...,
// "issued": true} asks how many tokens it was given.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

const [port, certificate, key, ttl] = process.argv.slice(2);

const clients = new Map();
const issued = new Map();


class Store {
    constructor(model) {
        this.items = model === 'Client' ? clients : new Map();
    }

    async find(id) {
        return this.items.get(id);
    }

    async upsert(id, item) {
        this.items.set(id, item);
    }

    async destroy(id) {
        this.items.delete(id);
    }
}


function configuration() {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

    return {
        adapter: Store,
        jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }),
                         use: 'sig', alg: 'RS256' }] },
        scopes: ['payments', 'reports', 'admin'],
        extraClientMetadata: { properties: ['format'] },
        features: {
            devInteractions: { enabled: false },
            clientCredentials: { enabled: true },
            introspection: {
                enabled: true,
                allowedPolicy: (ctx, client, token) =>
                    client.clientId === 'api'
                    || client.clientId === token.clientId,
            },
            revocation: {
                enabled: true,
                allowedPolicy: (ctx, client, token) =>
                    client.clientId === token.clientId,
            },
            resourceIndicators: {
                enabled: true,
                defaultResource: () => 'urn:api',
                getResourceServerInfo: (ctx, resource, client) => ({
                    scope: 'payments reports admin',
                    audience: resource,
                    accessTokenTTL: Number(ttl),
                    accessTokenFormat: client.format,
                    jwt: { sign: { alg: 'RS256' } },
                }),
            },
        },
        ttl: { ClientCredentials: Number(ttl) },
    };
}


function command({ id, secret, scope, format, grant, expires, ...asked }) {
    if (asked.issued) {
        return issued.get(id) ?? 0;
    }

    if (asked.remove) {
        clients.delete(id);
        return 'removed';
    }

    clients.set(id, {
        client_id: id,
        client_secret: secret,
        client_secret_expires_at: expires ?? 0,
        grant_types: [grant ?? 'client_credentials'],
        response_types: grant === 'authorization_code' ? ['code'] : [],
        redirect_uris: grant ? ['https://localhost/'] : [],
        scope,
        format,
    });

    return 'made';
}


const server = createServer({ cert: readFileSync(certificate),
                              key: readFileSync(key) });

server.listen(Number(port), '127.0.0.1', () => {
    const url = `https://localhost:${server.address().port}`;
    const provider = new Provider(url, configuration());

    provider.on('grant.success', ({ oidc: { client: { clientId } } }) => {
        issued.set(clientId, (issued.get(clientId) ?? 0) + 1);
    });

    server.on('request', provider.callback());

    console.log(server.address().port);
});

const input = createInterface({ input: process.stdin });

input.on('line', (line) => console.log(command(JSON.parse(line))));
input.on('close', () => process.exit());
