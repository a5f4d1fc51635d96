function authorization() {
    return 'Bearer %%TOKEN%%';
}


export default { authorization };
