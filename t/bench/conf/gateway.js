/*
 * Requests an OAuth 2.0 access token with client credentials, and answers
 * with the header that makes use of it. How long the answer may be kept, and
 * how long it may still be used while the next one is on its way, is for
 * nginx's cache.
 */

const MARGIN = 2;       /* a token is not used in its last seconds */
const EARLY = 60;       /* it is refreshed so long before its end */


async function token(r) {
    const v = r.variables;
    const basic = Buffer.from(`${v.client_id}:${v.client_secret}`)
                        .toString('base64');

    try {
        const reply = await ngx.fetch(v.endpoint, {
            method: 'POST',
            headers: {
                'Authorization': `Basic ${basic}`,
                'Content-Type': 'application/x-www-form-urlencoded',
                'Accept': 'application/json',
            },
            body: 'grant_type=client_credentials',
        });

        const answer = await reply.json();

        if (reply.status != 200 || typeof answer.access_token != 'string') {
            throw new Error(`status ${reply.status}`);
        }

        const lifetime = Math.floor(answer.expires_in || 300);
        const fresh = lifetime - Math.min(EARLY, lifetime / 2) | 0;
        const usable = lifetime - Math.min(MARGIN, lifetime / 10) | 0;

        r.headersOut['X-Token'] = `Bearer ${answer.access_token}`;
        r.headersOut['Cache-Control'] =
            `max-age=${fresh}, stale-while-revalidate=${usable - fresh}`;

        r.return(200);

    } catch (e) {
        r.error(`no token: ${e.message}`);
        r.return(503);
    }
}


export default { token };
