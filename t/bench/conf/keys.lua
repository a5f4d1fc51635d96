-- For wrk: requests with one key after the other, which are its arguments.

local requests, i = {}, 0


function init(keys)
    for n, key in ipairs(keys) do
        wrk.headers["X-Api-Key"] = key
        requests[n] = wrk.format()
    end
end


function request()
    i = i % #requests + 1
    return requests[i]
end
