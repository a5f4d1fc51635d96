-- For wrk: requests with one key after the other; its argument is a file with
-- a key in each line.

local requests, i = {}, 0


function init(arguments)
    for key in io.lines(arguments[1]) do
        wrk.headers["X-Api-Key"] = key
        requests[#requests + 1] = wrk.format()
    end
end


function request()
    i = i % #requests + 1
    return requests[i]
end
