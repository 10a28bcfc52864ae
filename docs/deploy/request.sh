# The request that a platform has to send each minute, as a command: the file .cron-header has the secret.
curl -sSLm 300 --fail-with-body -H @.cron-header 'https://shop.example.com/cron'
