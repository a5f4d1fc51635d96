-- Obtains an OAuth 2.0 access token with client credentials, and keeps it
-- fresh. A worker's copy serves its requests; workers share the token, and
-- the lock for a token request, by a shared dictionary. Requests that have no
-- token wait: one of each worker for the lock, the others for that one.

local cjson     = require "cjson.safe"
local semaphore = require "ngx.semaphore"

local encode_base64 = ngx.encode_base64
local exit          = ngx.exit
local log           = ngx.log
local now           = ngx.now
local re_match      = ngx.re.match
local shared        = ngx.shared.tokens
local sleep         = ngx.sleep
local tcp           = ngx.socket.tcp

local TIMEOUT    = 10       -- of a token request
local MARGIN     = 2        -- a token is not used in its last seconds
local EARLY      = 60       -- it is refreshed so long before its end
local PAUSE      = 1        -- after a failure
local POLL       = 0.005    -- for the lock of another worker

local _M = {}
local mt = { __index = _M }


function _M.new(options)
    local m = assert(re_match(options.endpoint,
        [[^(https?)://([^/:]+)(?::(\d+))?(/.*)$]], "jo"))

    local self = {
        tls = m[1] == "https", host = m[2],
        port = tonumber(m[3]) or m[1] == "https" and 443 or 80,
        usable = 0, refresh = 0, waiting = 0,
    }

    local body = "grant_type=client_credentials"

    self.request = table.concat({
        "POST " .. m[4] .. " HTTP/1.1",
        "Host: " .. m[2] .. (m[3] and ":" .. m[3] or ""),
        "Authorization: Basic "
            .. encode_base64(options.client_id .. ":"
                             .. options.client_secret),
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Length: " .. #body,
        "Accept: application/json",
        "Connection: close",
        "", body }, "\r\n")

    return setmetatable(self, mt)
end


-- the value of the header for this request; ends the request without one

function _M:authorization()
    if now() < self.usable then
        return self.value
    end

    return ""
end


-- the same, after the token has come

function _M:wait()
    if not self.waiters then
        self.waiters = semaphore.new()
    end

    if self.leader then
        self.waiters:wait(TIMEOUT)

    else
        self.leader = true

        local ok, err = pcall(self.obtain, self)

        self.leader = nil

        if self.waiters:count() < 0 then
            self.waiters:post(-self.waiters:count())
        end

        if not ok then
            log(ngx.ERR, err)
        end
    end

    if now() < self.usable then
        return self.value
    end

    return exit(503)
end


-- takes the token of another worker, or requests one

function _M:obtain()
    local deadline = now() + TIMEOUT

    while not self:take() and now() < deadline do

        if shared:get("failed") then
            return
        end

        if shared:add("lock", true, TIMEOUT) then

            -- it may have come between the look and the lock
            if not self:take() then
                self:exchange()
            end

            shared:delete("lock")
            return
        end

        sleep(POLL)
    end
end


-- makes the shared token the worker's own

function _M:take()
    local entry = shared:get("token")

    if entry then
        local usable, refresh, value = entry:match("^(%S+) (%S+) (.*)$")

        self.usable, self.refresh, self.value = tonumber(usable),
                                                tonumber(refresh), value
    end

    return now() < self.usable
end


function _M:exchange()
    local sent = now()
    local token, lifetime = self:fetch()

    if not token then
        log(ngx.ERR, "no token: ", lifetime)
        shared:set("failed", true, PAUSE)
        return
    end

    local usable = sent + lifetime - math.min(MARGIN, lifetime / 10)
    local refresh = sent + lifetime - math.min(EARLY, lifetime / 2)

    shared:set("token", string.format("%.3f %.3f Bearer %s",
                                      usable, refresh, token))
    self:take()
end


-- in each worker, from its start

function _M:keep()
    local function look(premature)
        if premature then
            return
        end

        if self:take() and now() < self.refresh then
            return
        end

        if shared:get("failed") or not shared:add("lock", true, TIMEOUT) then
            return
        end

        if not self:take() or now() >= self.refresh then
            local ok, err = pcall(self.exchange, self)

            if not ok then
                log(ngx.ERR, err)
            end
        end

        shared:delete("lock")
    end

    assert(ngx.timer.at(0, look))
    assert(ngx.timer.every(1, look))
end


-- the token and its lifetime, or nil and why there is none

function _M:fetch()
    local socket = tcp()

    socket:settimeout(TIMEOUT * 1000)

    local ok, err = socket:connect(self.host, self.port)

    if ok and self.tls then
        ok, err = socket:sslhandshake(nil, self.host, true)
    end

    if ok then
        ok, err = socket:send(self.request)
    end

    local status, body

    if ok then
        status, body = self.receive(socket)
    end

    socket:close()

    if not ok or not status then
        return nil, err or body
    end

    local answer = cjson.decode(body)

    if status ~= 200 or type(answer) ~= "table"
       or type(answer.access_token) ~= "string"
    then
        return nil, "status " .. status
    end

    return answer.access_token, tonumber(answer.expires_in) or 300
end


-- status and body of an answer, or nil and an error

function _M.receive(socket)
    local line, err = socket:receive()
    local status = line and line:match("^HTTP/1%.%d (%d+)")

    if not status then
        return nil, err or "no HTTP"
    end

    local length, chunked

    while true do
        line, err = socket:receive()

        if not line then
            return nil, err
        end

        if line == "" then
            break
        end

        local name, value = line:match("^(%S+):%s*(.-)%s*$")

        name = name and name:lower()
        length = name == "content-length" and tonumber(value) or length
        chunked = name == "transfer-encoding" and value:lower() == "chunked"
                  or chunked
    end

    local body

    if not chunked then
        body, err = socket:receive(length or "*a")
        return body and tonumber(status), body or err
    end

    local parts = {}

    while true do
        line, err = socket:receive()

        local size = line and tonumber(line:match("^%x+"), 16)

        if not size then
            return nil, err or "no chunk"
        end

        if size == 0 then
            return tonumber(status), table.concat(parts)
        end

        body, err = socket:receive(size)

        if not body then
            return nil, err
        end

        parts[#parts + 1] = body
        socket:receive()
    end
end


return _M
