# Makes docs/examples/production.conf a template for envsubst.

s|nc-api\.zertiban\.com|${ZERTIBAN_HOST}|g
s|7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11|${ZERTIBAN_TENANT_ID}|
s|/etc/nginx/zertiban\.credentials|${ZERTIBAN_CREDENTIALS_FILE}|
s|127\.0\.0\.1:8080|${ZERTIBAN_LISTEN}|
s|/var/log/nginx/zertiban\.log|/dev/stdout|
