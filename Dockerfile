# docker build -t gnr-async-mail-service .
#
# One image for the three processes and mailctl. There is nothing to compile: Node runs the TypeScript as it stands, and
# better-sqlite3 brings its binaries in its package.

FROM node:24-trixie-slim AS dependencies
WORKDIR /app
RUN npm install --global --no-audit --no-fund pnpm@12
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY apps/api/package.json apps/api/
COPY apps/dispatcher/package.json apps/dispatcher/
COPY apps/mailctl/package.json apps/mailctl/
COPY apps/reporter/package.json apps/reporter/
COPY libs/db/package.json libs/db/
COPY libs/domain/package.json libs/domain/
COPY libs/runtime/package.json libs/runtime/
RUN pnpm install --frozen-lockfile --prod
# SQLite's sources, and binaries for other systems: a third of it all.
RUN cd node_modules/.pnpm/better-sqlite3@*/node_modules/better-sqlite3 && rm -r deps src && \
    find prebuilds -type f ! -name 'linux-*' -delete

FROM node:24-trixie-slim
WORKDIR /app
COPY --from=dependencies /app ./
COPY apps apps
COPY libs libs
COPY scripts/all.ts scripts/health.ts scripts/log-lines.ts scripts/process-group.ts scripts/
# A new volume takes over the owner of the folder that it covers.
RUN ln -s /app/apps/mailctl/src/main.ts /usr/local/bin/mailctl && mkdir /data && chown node:node /data
ENV DB_PATH=/data/mail_service.db
VOLUME /data
USER node
EXPOSE 8000 9110 9120
STOPSIGNAL SIGTERM
# Asks every one of our processes that runs in the container; an image with curl would be larger.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["node", "scripts/health.ts"]
# All three, for a first look; docker-compose.yml gives each a container of its own: node apps/api/src/main.ts, …
# Node is process 1 and hears SIGTERM itself.
CMD ["node", "scripts/all.ts"]
